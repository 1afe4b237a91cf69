"""One or several runs, paired item by item, and drawn anew together.

Two runs that were asked the same questions share the luck of which questions were asked.  Drawing
the questions anew for both at once keeps that luck out of every difference between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forgetless.metrics.cells import Cell
from forgetless.metrics.matrix import ScoreMatrix
from forgetless.metrics.scores import FloatArray, Groups, IntArray, ScoreStack, Unit
from forgetless.tasks.twins import with_twins

Formula = Callable[..., FloatArray]
"""A figure: takes one stack of matrices per run, gives one value per matrix of the stack."""

_LEFT_OUT = "not scored in every row of every run"


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is drawn anew for one task.

    Attributes:
        scores: Of n items, or mean scores of n groups of items, shape (n, k).
        sizes: Number of items in each group, shape (n,); None if every item is alone.
        where: Positions in the line of the k cells, shape (k,).
    """

    scores: FloatArray
    sizes: FloatArray | None
    where: IntArray


@dataclass(frozen=True, slots=True)
class Place:
    """One measured cell of one of the runs."""

    run: int
    row: int
    task: str


def restrict_to_common_items(*runs: ScoreMatrix) -> tuple[ScoreMatrix, ...]:
    """Take the scores of each task over the same items in every row of every run.

    Args:
        runs: The matrices; a task that only one of them has is left as it is there.

    Returns:
        The matrices in the same order.  An item left out is an error in them, with the reason; a
        task of which only means are known stays as it is.

    Example:
        >>> from forgetless.metrics import Cell, ScoreMatrix, TaskColumn
        >>> def run(**scores):
        ...     return ScoreMatrix(["base"], [TaskColumn("law")], {(0, "law"): Cell(scores)})
        >>> one, other = restrict_to_common_items(run(q1=1.0, q2=0.0), run(q1=1.0))
        >>> one.score(0, "law"), one.excluded_items("law")
        (1.0, 1)
    """
    common: dict[str, set[str]] = {}
    for run in runs:
        for (_, task), cell in run.cells.items():
            if isinstance(cell, Cell) and cell.scores:
                common[task] = common.get(task, set(cell.scores)) & cell.scores.keys()
    return tuple(_restrict(run, common) for run in runs)


class PairedRuns:
    """Runs restricted to their common items, seen as one line of all their measured cells.

    The line has length C; a point of the bootstrap is such a line.

    Args:
        runs: The matrices, in the order in which the figure takes them.
    """

    def __init__(self, runs: Sequence[ScoreMatrix]) -> None:
        self.runs = restrict_to_common_items(*runs)
        self.groups: dict[str, Groups] = {}
        for task in (task for run in runs for task in run.tasks):
            # an earlier version may have noted fewer: groups of any run that share an item are one
            noted = self.groups.setdefault(task.name, task.groups)
            if task.groups != noted:
                self.groups[task.name] = with_twins(noted, task.groups)
        self.places = [
            Place(index, row, task.name)
            for index, run in enumerate(self.runs)
            for task in run.tasks
            for row in range(len(run.stages))
            if (row, task.name) not in run.missing
        ]
        self.units: list[Unit] = [self.runs[p.run].column(p.task).unit for p in self.places]

    def means(self) -> FloatArray:
        """The scores as they were measured, shape (C,)."""
        return np.array([self.runs[p.run].score(p.row, p.task) for p in self.places], float)

    def items(self, task: str) -> Drawn:
        """What is drawn for the means of a task: its single scores, or the means of its groups.

        Args:
            task: Name of the column.

        Returns:
            Items in the order of their ids, or groups in that of their first items.

        Raises:
            NotMeasured: if only means are known.
        """
        columns, where = [], []
        ids: list[str] = []
        for index, place in enumerate(self.places):
            if place.task == task:
                paired = self.runs[place.run].paired(task)
                order = np.argsort(paired.ids)
                columns.append(paired.rows[place.row][order])
                where.append(index)
                ids = [paired.ids[at] for at in order]
        scores = np.stack(columns, axis=1)  # (n, k)
        number = number_groups(ids, self.groups[task])
        if number is None:
            return Drawn(scores, None, np.array(where))
        sizes = np.bincount(number).astype(float)
        sums = np.stack([np.bincount(number, column) for column in scores.T], axis=1)
        return Drawn(sums / sizes[:, np.newaxis], sizes, np.array(where))

    def evaluate(self, figure: Formula, lines: FloatArray) -> FloatArray:
        """Evaluate a figure at many points.

        Args:
            figure: Takes one stack per run.
            lines: Shape (points, C).

        Returns:
            Shape (points,); NaN where the figure does not exist.
        """
        stacks = []
        for index, run in enumerate(self.runs):
            values = np.full((len(lines), len(run.stages), len(run.tasks)), np.nan)
            for column, place in enumerate(self.places):
                if place.run == index:
                    values[:, place.row, run.position(place.task)] = lines[:, column]
            stacks.append(ScoreStack(run.stages, run.tasks, values, run.missing))
        return np.asarray(figure(*stacks), float)


def number_groups(ids: Sequence[str], groups: Groups) -> IntArray | None:
    """Number of each item's group, counted from 0 in the order of their first items.

    Args:
        ids: Items of one task, length n.
        groups: Their groups; see :data:`Groups`.

    Returns:
        Shape (n,), or None if every item is alone.

    Example:
        >>> number_groups(["a", "b", "c"], {"a": "passage 1", "c": "passage 1"})
        array([0, 1, 0])
    """
    numbers: dict[tuple[str, str], int] = {}
    named = ((groups.get(item, ""), item) for item in ids)
    keys = [(group, "") if group else ("", item) for group, item in named]
    number = np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.intp)
    return number if len(numbers) < len(ids) else None


def _restrict(run: ScoreMatrix, common: Mapping[str, set[str]]) -> ScoreMatrix:
    others: dict[str, set[str]] = {}
    for (_, task), cell in run.cells.items():
        if isinstance(cell, Cell) and cell.scores:
            others.setdefault(task, set()).update(cell.scores.keys() - common[task])
    return leave_out(run, others, _LEFT_OUT)


def leave_out(run: ScoreMatrix, items: Mapping[str, set[str]], reason: str) -> ScoreMatrix:
    """Take the scores of some items away, in every row.

    Args:
        run: The matrix.
        items: By task, their ids.
        reason: Why; each is an error from now on.
    """
    cells = {}
    for (row, task), cell in run.cells.items():
        if isinstance(cell, Cell) and (gone := cell.scores.keys() & items.get(task, set())):
            kept = {item: score for item, score in cell.scores.items() if item not in gone}
            cells[row, task] = Cell(kept, {**cell.errors, **dict.fromkeys(gone, reason)})
    if not cells:
        return run
    missing = {at: reason for at, reason in run.missing.items() if at not in run.cells}
    return ScoreMatrix(run.stages, run.tasks, {**run.cells, **cells}, missing)
