"""Tasks whose rows are tokens from the start, as those of someone else's Trainer are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from forgetless.tasks.examples import Encoder
from forgetless.tasks.render import Encoded
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task


@dataclass(frozen=True)
class _Numbered(Sequence[Row]):
    """Rows without text: each is known by its number."""

    rows: int

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: Any) -> Any:
        numbers = range(self.rows)[index]
        if isinstance(numbers, range):
            return [self[number] for number in numbers]
        return Row(str(numbers), (), "")


@dataclass(frozen=True)
class TokenTask(Task):
    """A task whose rows are known as tokens only.

    Attributes:
        encoded: The examples of a row, by its number.
    """

    encoded: Callable[[int], list[Encoded]] = field(default=lambda _: [])

    @staticmethod
    def numbered(count: int) -> Sequence[Row]:
        """Rows known by their number alone."""
        return _Numbered(count)

    def renderer(self, tokenizer: Any) -> Any:
        """Renders rows by looking their tokens up."""
        return _Lookup(self.encoded)


@dataclass(frozen=True)
class _Lookup:
    encoded: Callable[[int], list[Encoded]]

    def encode(self, row: Row) -> list[Encoded]:
        return self.encoded(int(row.id))


class TokenEncoder(Encoder):
    """Takes rows as their trainer takes them, however long."""

    def _fit(self, example: Encoded, *_: Any) -> Encoded:
        return example
