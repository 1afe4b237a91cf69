"""Rows as tokens: tokenised once, cut to length, packed end to end."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np

from forgetless.errors import DataError
from forgetless.models.reach import RESIZE, Reach
from forgetless.plan import TrainingConfig
from forgetless.tasks.packing import Growing
from forgetless.tasks.render import Encoded, Renderer
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task

Ints = np.ndarray[Any, np.dtype[np.signedinteger[Any]]]

AT_ONCE = 1 << 20  # entries copied at a time


class Origin(NamedTuple):
    """Where an example came from."""

    task: str
    row: str


class TaskRows(Sequence[tuple[Task, Row]]):
    """Training rows, each with its task, read when asked for.

    Args:
        tasks: The tasks.
        places: Which of all their rows, counted from the first row of the first task.
    """

    def __init__(self, tasks: Sequence[Task], places: Sequence[int] | Ints) -> None:
        self._tasks = tasks
        self._places = places
        self._starts = [*accumulate((len(task.train) for task in tasks), initial=0)]

    @classmethod
    def of(cls, tasks: Sequence[Task]) -> TaskRows:
        """All training rows of some tasks."""
        return cls(tasks, range(sum(len(task.train) for task in tasks)))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> tuple[Task, Row]: ...
    @overload
    def __getitem__(self, index: slice) -> TaskRows: ...
    def __getitem__(self, index: int | slice) -> tuple[Task, Row] | TaskRows:
        if isinstance(index, slice):
            return TaskRows(self._tasks, self._places[index])
        place = int(self._places[index])
        number = bisect_right(self._starts, place) - 1
        task = self._tasks[number]
        return task, task.train[place - self._starts[number]]

    def __iter__(self) -> Iterator[tuple[Task, Row]]:
        if isinstance(self._places, range) and self._places == range(self._starts[-1]):
            for task in self._tasks:  # one after another they are read several times faster
                yield from ((task, row) for row in task.train)
        else:
            yield from (self[index] for index in range(len(self)))

    def only(self, kept: np.ndarray[Any, np.dtype[np.bool_]]) -> TaskRows:
        """Those that are kept, shape (rows,); the same object if all are."""
        if kept.all():
            return self
        places = self._places
        if isinstance(places, range):  # numpy would make a list of it
            places = np.arange(places.start, places.stop, places.step, dtype=np.int32)
        return TaskRows(self._tasks, np.asarray(places)[kept])


class Origins(Sequence[Origin]):
    """Where examples came from, looked up when asked for.

    Args:
        rows: The rows.
        places: Which of them each example came from, shape (examples,).
    """

    def __init__(self, rows: Sequence[tuple[Task, Row]], places: np.ndarray[Any, Any]) -> None:
        self._rows = rows
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Origin: ...
    @overload
    def __getitem__(self, index: slice) -> Origins: ...
    def __getitem__(self, index: int | slice) -> Origin | Origins:
        if isinstance(index, slice):
            return Origins(self._rows, self._places[index])
        task, row = self._rows[int(self._places[index])]
        return Origin(task.name, row.id)


class Joined(Sequence[Origin]):
    """Origins of several sets of examples, one after another."""

    def __init__(self, parts: Sequence[Sequence[Origin]]) -> None:
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    @overload
    def __getitem__(self, index: int) -> Origin: ...
    @overload
    def __getitem__(self, index: slice) -> list[Origin]: ...
    def __getitem__(self, index: int | slice) -> Origin | list[Origin]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        part = int(np.searchsorted(self._ends, index, side="right"))
        return self._parts[part][index - (int(self._ends[part - 1]) if part else 0)]


@dataclass
class Examples:
    """Tokenised examples, packed end to end; memory-mapped where they are many.

    Attributes:
        ids: All token ids, shape (tokens,), int32.
        learned: Whether each is a target of the loss, shape (tokens,).
        offsets: Where each example starts, shape (examples + 1,), int64.
        origins: The task and row that each example came from.
    """

    ids: np.ndarray[Any, np.dtype[np.int32]]
    learned: np.ndarray[Any, np.dtype[np.bool_]]
    offsets: Ints
    origins: Sequence[Origin]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> Ints:
        """Tokens of each example, shape (examples,), int32."""
        ends, starts = self.offsets[1:], self.offsets[:-1]
        return np.subtract(ends, starts, dtype=np.int32, casting="unsafe")  # no copy in between

    @cached_property
    def keys(self) -> Ints:
        """What tells the examples apart wherever they turn up again, shape (examples,)."""
        found = (self[index].key for index in range(len(self)))
        return np.fromiter(found, np.int64, len(self))

    def __getitem__(self, index: int) -> Encoded:
        span = slice(self.offsets[index], self.offsets[index + 1])
        return Encoded(self.ids[span].tolist(), self.learned[span].tolist())

    @classmethod
    def of(cls, encoded: Iterable[Encoded], origins: Sequence[Origin]) -> Examples:
        """Pack encoded rows; one origin each."""
        packed = _Packed(None)
        for example in encoded:
            packed.add(example)
        return packed.done(origins)

    @classmethod
    def concatenated(cls, parts: Sequence[Examples], scratch: Path | None = None) -> Examples:
        """Several sets of examples, one after another.

        Args:
            parts: At least one; a single one is given back as it is.
            scratch: Folder for what is too large for memory.
        """
        if len(parts) == 1:
            return parts[0]
        packed = _Packed(scratch)
        for part in parts:
            packed.extend(part)
        return packed.done(Joined([part.origins for part in parts]))


class _Packed:
    """Examples as they come in."""

    def __init__(self, scratch: Path | None) -> None:
        self._ids, self._learned = Growing(np.int32, scratch), Growing(np.bool_, scratch)
        self._offsets = Growing(np.int64, scratch)
        self._offsets.add([0])
        self._tokens = 0

    def add(self, example: Encoded) -> None:
        self._tokens += len(example)
        self._ids.add(example.ids)
        self._learned.add(example.learned)
        self._offsets.add([self._tokens])

    def extend(self, examples: Examples) -> None:
        for start in range(0, len(examples.ids), AT_ONCE):
            self._ids.add(examples.ids[start : start + AT_ONCE])
            self._learned.add(examples.learned[start : start + AT_ONCE])
        for start in range(1, len(examples.offsets), AT_ONCE):
            self._offsets.add(examples.offsets[start : start + AT_ONCE] + self._tokens)
        self._tokens += len(examples.ids)

    def done(self, origins: Sequence[Origin]) -> Examples:
        return Examples(self._ids.done(), self._learned.done(), self._offsets.done(), origins)


class Encoder:
    """Tokenises rows in the form of their task and minds their length.

    Args:
        tokenizer: The model's tokenizer.
        config: Training settings; says how long a row may be and what happens to longer ones.
        reach: What the model reads; rows longer than its context are too long, too.
        scratch: Folder for tokens that are too many for memory; they are gone with the process.
    """

    def __init__(
        self,
        tokenizer: Any,
        config: TrainingConfig,
        reach: Reach = Reach(),  # noqa: B008  (a constant)
        scratch: Path | None = None,
    ) -> None:
        self.scratch = scratch
        self._tokenizer = tokenizer
        self._config = config
        self._reach = reach
        self._renderers: dict[str, Renderer] = {}
        self.dropped = 0
        self.truncated = 0

    @property
    def longest(self) -> int:
        """Most tokens of an example."""
        return min(self._config.max_length, self._reach.context)

    @property
    def limit(self) -> str:
        """What a row must not be longer than, in words."""
        if self._reach.context < self._config.max_length:
            return f"the model's context of {self._reach.context}"
        return f"training.max_length = {self._config.max_length}"

    def encode(self, rows: Sequence[tuple[Task, Row]], *, rehearsal: bool = False) -> Examples:
        """Tokenise rows; those of rehearsal are not counted as dropped or truncated.

        Raises:
            DataError: for a row that is too long, unless such rows are dropped or truncated; and
                for one with a token that the model has no weights for.
        """
        packed = _Packed(self.scratch)
        places = Growing(np.int32, self.scratch)
        for place, (task, row) in enumerate(rows):
            if task.name not in self._renderers:
                self._renderers[task.name] = task.renderer(self._tokenizer)
            for example in self._renderers[task.name].encode(row):
                fitted = self._fit(example, task, row, rehearsal)
                if fitted is None or not any(fitted.learned[1:]):
                    self.dropped += not rehearsal
                    continue
                if unknown := self._reach.unknown(fitted.ids, self._tokenizer):
                    raise DataError(
                        f"row {row.id!r} of task {task.name!r} cannot be read: {unknown}",
                        fix=RESIZE,
                    )
                packed.add(fitted)
                places.add([place])
        return packed.done(Origins(rows, places.done()))

    def _fit(self, example: Encoded, task: Task, row: Row, rehearsal: bool) -> Encoded | None:
        if len(example) <= self.longest:
            return example
        if self._config.too_long == "error":
            where = "rehearsed" if rehearsal else f"{task.config.train}:"
            fits = len(example) <= self._reach.context
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
