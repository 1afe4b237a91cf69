"""Rows of earlier tasks: which are kept, and which may never be rehearsed.

Source: the reservoir is algorithm R of Vitter 1985.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Literal

import numpy as np

from forgetless.methods.stage import Stage
from forgetless.tasks.examples import Encoder, Examples, Ints, TaskRows
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task, exchange_hashes

Policy = Literal["all", "reservoir", "balanced"]


class Buffer:
    """Training rows of tasks, as indices.

    Args:
        policy: What is kept: all; a uniform sample of all rows seen; or equally many of each task.
        size: Most rows of a reservoir or balanced buffer.
    """

    def __init__(self, policy: Policy, size: int) -> None:
        self._policy = policy
        self._size = size
        self._kept: list[tuple[str, int]] = []  # (task, index of its training row)
        self._whole: dict[str, int] = {}  # where all is kept: rows of each task
        self._encoded: dict[str, tuple[Task, Examples]] = {}  # of these, as far as it was asked for
        self._seen = 0

    def add(self, stage: Stage, rng: np.random.Generator) -> None:
        """Take in rows of a stage that may be rehearsed; which of them stay is left to chance."""
        for task in stage.tasks:
            if self._policy == "all":
                self._whole[task.name] = len(task.train)  # :meth:`rows` leaves out those tested
            else:
                tested = (is_tested(row, stage) for row in task.train)
                allowed = np.flatnonzero(~np.fromiter(tested, np.bool_, len(task.train)))
                self._choose(task.name, allowed, rng)

    def _choose(self, task: str, rows: Ints, rng: np.random.Generator) -> None:
        """Give places to some rows of a task, as indices."""
        if self._policy == "reservoir":
            for index in map(int, rows):
                self._seen += 1
                if len(self._kept) < self._size:
                    self._kept.append((task, index))
                elif (place := int(rng.integers(self._seen))) < self._size:
                    self._kept[place] = task, index
        else:
            groups: dict[str, list[tuple[str, int]]] = {}
            for kept in self._kept:
                groups.setdefault(kept[0], []).append(kept)
            order = rows[rng.permutation(len(rows))]
            groups[task] = [(task, int(index)) for index in order[: self._size]]
            self._kept = _balanced(list(groups.values()), self._size)

    def count(self, task: str) -> int:
        """How many rows of a task are kept."""
        return self._whole.get(task, 0) + sum(name == task for name, _ in self._kept)

    def replace(self, task: str, indices: Sequence[int]) -> None:
        """Keep these rows of a task instead, as many as are kept; the first ones stay longest."""
        better = iter(indices)
        self._kept = [
            (name, next(better)) if name == task else (name, index) for name, index in self._kept
        ]

    def rows(self, stage: Stage) -> TaskRows:
        """The kept rows that a stage may rehearse."""
        tasks = {task.name: task for task in stage.earlier}
        if self._policy == "all":
            return untested(TaskRows.of([tasks[name] for name in self._whole]), stage)
        starts = accumulate((len(task.train) for task in tasks.values()), initial=0)
        start = dict(zip(tasks, starts, strict=False))
        places = [start[name] + index for name, index in self._kept]
        return untested(TaskRows([*tasks.values()], places), stage)

    def encoded(self, stage: Stage, encoder: Encoder) -> Examples:
        """The same as tokens; where all is kept, a task is tokenised for its first stage only."""
        if self._policy != "all":
            return encoder.encode(self.rows(stage), rehearsal=True)
        tasks = {task.name: task for task in stage.earlier}
        for name in self._whole:
            task = tasks[name]
            if name not in self._encoded or self._encoded[name][0] is not task:
                rows = untested(TaskRows.of([task]), stage)
                self._encoded[name] = task, encoder.encode(rows, rehearsal=True)
        parts = [self._encoded[name][1] for name in self._whole]
        return Examples.concatenated(parts or [Examples.of((), ())], encoder.scratch)

    def values(self) -> dict[str, Any]:
        """What is kept, as plain data."""
        kept = [list(row) for row in self._kept]
        return {"kept": kept, "whole": self._whole, "seen": self._seen}

    def restore(self, values: Mapping[str, Any]) -> None:
        """Take back what :meth:`values` gave."""
        self._kept = [(str(name), int(index)) for name, index in values["kept"]]
        self._whole = {str(name): int(rows) for name, rows in values["whole"].items()}
        self._seen = int(values["seen"])


def is_tested(row: Row, stage: Stage) -> bool:
    """Whether a row, or an exchange in the midst of it, is a test item of any task."""
    # rows of a user's own trainer have no text; there, nothing is held back
    return bool(stage.held_back) and not stage.held_back.isdisjoint(exchange_hashes(row))


def untested(rows: TaskRows, stage: Stage) -> TaskRows:
    """The rows that a stage may rehearse."""
    allowed = (not is_tested(row, stage) for _, row in rows)
    return rows.only(np.fromiter(allowed, np.bool_, len(rows)))


def held_back_hash(stage: Stage) -> str:
    """SHA-256 over what a stage must not rehearse."""
    return hashlib.sha256(b"".join(sorted(stage.held_back))).hexdigest()


def _balanced(groups: Sequence[list[tuple[str, int]]], size: int) -> list[tuple[str, int]]:
    """The first rows of each group, equally many; what a small group leaves goes to the others."""
    kept: list[tuple[str, int]] = []
    room = size
    for position, group in enumerate(sorted(groups, key=len)):
        share = math.floor(room / (len(groups) - position))
        kept += group[:share]
        room -= min(share, len(group))
    return kept
