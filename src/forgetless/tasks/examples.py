"""Rows as tokens: tokenised once, cut to length, packed end to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from forgetless.errors import DataError
from forgetless.plan import TrainingConfig
from forgetless.tasks.render import Encoded, Renderer
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task

Ints = np.ndarray[Any, np.dtype[np.int64]]

ENDLESS = 1 << 30  # the context of a model that names no limit


class Origin(NamedTuple):
    """Where an example came from."""

    task: str
    row: str


@dataclass
class Examples:
    """Tokenised examples, packed end to end.

    Attributes:
        ids: All token ids, shape (tokens,), int32.
        learned: Whether each is a target of the loss, shape (tokens,).
        offsets: Where each example starts, shape (examples + 1,), int64.
        origins: The task and row that each example came from.
    """

    ids: np.ndarray[Any, np.dtype[np.int32]]
    learned: np.ndarray[Any, np.dtype[np.bool_]]
    offsets: Ints
    origins: list[Origin]

    def __len__(self) -> int:
        return len(self.origins)

    @property
    def lengths(self) -> Ints:
        """Tokens of each example, shape (examples,)."""
        return np.diff(self.offsets)

    @cached_property
    def keys(self) -> Ints:
        """What tells the examples apart wherever they turn up again, shape (examples,)."""
        return np.array([self[index].key for index in range(len(self))], dtype=np.int64)

    def __getitem__(self, index: int) -> Encoded:
        span = slice(self.offsets[index], self.offsets[index + 1])
        return Encoded(self.ids[span].tolist(), self.learned[span].tolist())

    @classmethod
    def of(cls, encoded: Sequence[Encoded], origins: Sequence[Origin]) -> Examples:
        """Pack encoded rows; one origin each."""
        lengths = [len(example) for example in encoded]
        return cls(
            np.array([token for example in encoded for token in example.ids], dtype=np.int32),
            np.array([flag for example in encoded for flag in example.learned], dtype=bool),
            np.cumsum([0, *lengths]).astype(np.int64),
            list(origins),
        )

    @classmethod
    def concatenated(cls, parts: Sequence[Examples]) -> Examples:
        """Several sets of examples, one after another."""
        shifts = np.cumsum([0, *(len(part.ids) for part in parts)])
        return cls(
            np.concatenate([part.ids for part in parts]),
            np.concatenate([part.learned for part in parts]),
            np.concatenate(
                [np.zeros(1, dtype=np.int64)]
                + [part.offsets[1:] + shift for part, shift in zip(parts, shifts, strict=False)]
            ),
            [origin for part in parts for origin in part.origins],
        )


class Encoder:
    """Tokenises rows in the form of their task and minds their length.

    Args:
        tokenizer: The model's tokenizer.
        config: Training settings; says how long a row may be and what happens to longer ones.
        context: The model's context, in tokens; rows longer than it are too long, too.
    """

    def __init__(self, tokenizer: Any, config: TrainingConfig, context: int = ENDLESS) -> None:
        self._tokenizer = tokenizer
        self._config = config
        self._context = context
        self._renderers: dict[str, Renderer] = {}
        self.dropped = 0
        self.truncated = 0

    @property
    def longest(self) -> int:
        """Most tokens of an example."""
        return min(self._config.max_length, self._context)

    @property
    def limit(self) -> str:
        """What a row must not be longer than, in words."""
        if self._context < self._config.max_length:
            return f"the model's context of {self._context}"
        return f"training.max_length = {self._config.max_length}"

    def encode(self, rows: Sequence[tuple[Task, Row]], *, rehearsal: bool = False) -> Examples:
        """Tokenise rows; those of rehearsal are not counted as dropped or truncated.

        Raises:
            DataError: for a row that is too long, unless such rows are dropped or truncated.
        """
        encoded: list[Encoded] = []
        origins: list[Origin] = []
        for task, row in rows:
            if task.name not in self._renderers:
                self._renderers[task.name] = task.renderer(self._tokenizer)
            for example in self._renderers[task.name].encode(row):
                fitted = self._fit(example, task, row, rehearsal)
                if fitted is None or not any(fitted.learned[1:]):
                    self.dropped += not rehearsal
                    continue
                encoded.append(fitted)
                origins.append(Origin(task.name, row.id))
        return Examples.of(encoded, origins)

    def _fit(self, example: Encoded, task: Task, row: Row, rehearsal: bool) -> Encoded | None:
        if len(example) <= self.longest:
            return example
        if self._config.too_long == "error":
            where = "rehearsed" if rehearsal else f"{task.config.train}:"
            fits = len(example) <= self._context
            longer = f"--set training.max_length={len(example)}, or  " if fits else ""
            raise DataError(
                f"{where} row {row.id!r} of task {task.name!r} has {len(example)} "
                f"tokens, more than {self.limit}",
                fix=f"{longer}--set training.too_long=drop (or truncate)",
            )
        if self._config.too_long == "drop":
            return None
        self.truncated += not rehearsal
        return Encoded(example.ids[: self.longest], example.learned[: self.longest])
