"""One or several runs, paired item by item, and drawn anew together.

Two runs that were asked the same questions share the luck of which questions were asked.  Drawing
the questions anew for both at once keeps that luck out of every difference between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forgetless.metrics.cells import Cell
from forgetless.metrics.matrix import ScoreMatrix
from forgetless.metrics.scores import FloatArray, ScoreStack, Unit

Formula = Callable[..., FloatArray]
"""A figure: takes one stack of matrices per run, gives one value per matrix of the stack."""

IntArray = npt.NDArray[np.intp]

_LEFT_OUT = "not scored in every row of every run"


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

    def items(self, task: str) -> tuple[FloatArray, IntArray]:
        """The single scores behind the means of a task.

        Args:
            task: Name of the column.

        Returns:
            Scores of shape (n, k), items in the order of their ids; and the positions in the line
            of the k cells they belong to, shape (k,).

        Raises:
            NotMeasured: if only means are known.
        """
        columns, where = [], []
        for index, place in enumerate(self.places):
            if place.task == task:
                paired = self.runs[place.run].paired(task)
                columns.append(paired.rows[place.row][np.argsort(paired.ids)])
                where.append(index)
        return np.stack(columns, axis=1), np.array(where)  # (n, k), (k,)

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


def _restrict(run: ScoreMatrix, common: Mapping[str, set[str]]) -> ScoreMatrix:
    cells = {}
    for (row, task), cell in run.cells.items():
        if isinstance(cell, Cell) and cell.scores.keys() - common.get(task, set()):
            kept = {item: score for item, score in cell.scores.items() if item in common[task]}
            left_out = dict.fromkeys(cell.scores.keys() - kept.keys(), _LEFT_OUT)
            cells[row, task] = Cell(kept, {**cell.errors, **left_out})
    if not cells:
        return run
    missing = {at: reason for at, reason in run.missing.items() if at not in run.cells}
    return ScoreMatrix(run.stages, run.tasks, {**run.cells, **cells}, missing)
