"""Score matrices as figures see them: rows after stages, columns for tasks, one number per cell.

Every figure is one formula, written once.  It is evaluated on a single matrix, whose cells are
numbers, and on thousands of resampled matrices at once, whose cells are arrays.  Both are
:class:`Scores`; a figure asks them for cells and combines what it gets with plain arithmetic.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, Literal, TypeVar, cast

import numpy as np
import numpy.typing as npt

from forgetless.errors import NotMeasured

FloatArray = npt.NDArray[np.float64]

IntArray = npt.NDArray[np.intp]

ROUNDING = 1e-9
"""A loss of 2 points of 0.8 is a little more than 0.02 in floating point, and means 0.02."""

Unit = Literal["accuracy", "nats"]
"""What a score is: ``accuracy``, the mean item score in [0, 1]; ``nats``, the mean log-likelihood
per token, at most 0.  Higher is better in both.  Only accuracies are averaged over tasks."""

UNITS: tuple[Unit, ...] = ("accuracy", "nats")

Groups = Mapping[str, str]
"""Item id to the group it belongs to; an item that is absent, or whose group is '', is alone."""

V = TypeVar("V", float, FloatArray)
"""What a cell holds: a number, or an array with one entry per resampled matrix."""


@dataclass(frozen=True, slots=True)
class TaskColumn:
    """One column of the score matrix.

    Attributes:
        name: Unique within the matrix.
        unit: What its scores are.
        trained_in: Stage in which it is trained, counted from 1; ``None`` if it is only tested.
            A joint run trains several tasks in one stage.
        groups: Of its items; those of one group are drawn together in every interval.
    """

    name: str
    unit: Unit = "accuracy"
    trained_in: int | None = None
    groups: Groups = field(default_factory=dict, compare=False, repr=False)


class Scores(ABC, Generic[V]):
    """A score matrix R of shape (T+1, T'): R[i, j] is the score on task j after stage i.

    Args:
        stages: Names of the rows; the first is the untouched model.
        tasks: The columns.
        missing: The cells, as (row, task name), that were never measured, with the reason.

    Raises:
        ValueError: if a name is used twice, or a task is trained in a stage that does not exist.
    """

    def __init__(
        self,
        stages: Sequence[str],
        tasks: Sequence[TaskColumn],
        missing: Mapping[tuple[int, str], str],
    ) -> None:
        if not stages:
            raise ValueError("stages is empty, needed at least the untouched model")
        _refuse_duplicates("stage", stages)
        _refuse_duplicates("task", [task.name for task in tasks])
        for task in tasks:
            if task.unit not in UNITS:
                raise ValueError(
                    f"task '{task.name}': unit is {task.unit!r}, needed one of {', '.join(UNITS)}"
                )
            if task.trained_in is not None and not 1 <= task.trained_in < len(stages):
                raise ValueError(
                    f"task '{task.name}': trained_in is {task.trained_in}, needed a stage from 1 "
                    f"to {len(stages) - 1}, or None if the task is only tested"
                )
        self.stages = tuple(stages)
        self.tasks = tuple(tasks)
        self._index = {task.name: index for index, task in enumerate(self.tasks)}
        for row, name in missing:
            self.check_cell(row, name)
        self.missing: Mapping[tuple[int, str], str] = MappingProxyType(dict(missing))

    @abstractmethod
    def score(self, stage: int, task: str) -> V:
        """The score on a task after a stage.

        Args:
            stage: Row, 0 for the untouched model.
            task: Name of the column.

        Returns:
            Scores in the unit of the task, higher is better; one number, or shape (...).

        Raises:
            NotMeasured: if the cell was never measured, with the reason.
            ValueError: if there is no such row or column.
        """

    @property
    def last(self) -> int:
        """Index T of the last row."""
        return len(self.stages) - 1

    def column(self, task: str) -> TaskColumn:
        """The column of a task.

        Raises:
            ValueError: if there is no such column.
        """
        return self.tasks[self.position(task)]

    def position(self, task: str) -> int:
        """Index of a task's column.

        Raises:
            ValueError: if there is no such column.
        """
        if task not in self._index:
            raise ValueError(f"no task '{task}'; the tasks are {', '.join(self._index) or 'none'}")
        return self._index[task]

    def trained(self, unit: Unit = "accuracy") -> list[TaskColumn]:
        """The columns of one unit that are trained in some stage, in the order of the matrix."""
        return [task for task in self.tasks if task.unit == unit and task.trained_in is not None]

    def only_tested(self, unit: Unit = "accuracy") -> list[TaskColumn]:
        """The columns of one unit that no stage trains, in the order of the matrix."""
        return [task for task in self.tasks if task.unit == unit and task.trained_in is None]

    def check_cell(self, stage: int, task: str) -> None:
        """Refuse a row or a column that does not exist.

        Raises:
            ValueError: saying which ones exist.
        """
        self.position(task)
        if not 0 <= stage <= self.last:
            raise ValueError(f"no row {stage}; the rows are 0 to {self.last}")

    def check_measured(self, stage: int, task: str) -> None:
        """Refuse a cell that has no score.

        Raises:
            NotMeasured: with the reason.
            ValueError: if there is no such row or column.
        """
        self.check_cell(stage, task)
        if (stage, task) in self.missing:
            raise NotMeasured(
                f"task '{task}' after stage {stage} '{self.stages[stage]}' was not measured: "
                f"{self.missing[stage, task]}"
            )


class ScoreStack(Scores[FloatArray]):
    """Many score matrices of one shape, evaluated by a figure all at once.

    Args:
        stages: Names of the rows.
        tasks: The columns.
        values: Shape (..., T+1, T').
        missing: Cells that no matrix of the stack has; their values are never read.

    Raises:
        ValueError: if the shape does not fit, or a value that is not missing is not a number.

    Example:
        >>> import numpy as np
        >>> from forgetless.metrics import ScoreStack, TaskColumn, average_accuracy
        >>> tasks = [TaskColumn("law", trained_in=1)]
        >>> seeds = np.array([[[0.2], [0.5]], [[0.2], [0.7]]])  # (seeds, T+1, T')
        >>> average_accuracy(ScoreStack(["base", "law"], tasks, seeds))
        array([0.5, 0.7])
    """

    def __init__(
        self,
        stages: Sequence[str],
        tasks: Sequence[TaskColumn],
        values: FloatArray,
        missing: Mapping[tuple[int, str], str] | None = None,
    ) -> None:
        super().__init__(stages, tasks, missing or {})
        shape = (len(self.stages), len(self.tasks))
        if values.shape[-2:] != shape:
            raise ValueError(
                f"values have shape {values.shape}, needed (..., {shape[0]}, {shape[1]})"
            )
        for row in range(shape[0]):
            for task in self.tasks:
                finite = np.isfinite(values[..., row, self.position(task.name)])
                if (row, task.name) not in self.missing and not finite.all():
                    raise ValueError(
                        f"task '{task.name}' after stage {row} has values that are not numbers; "
                        "name the cell in missing if it was not measured"
                    )
        self.values = values

    def score(self, stage: int, task: str) -> FloatArray:  # noqa: D102 (the base class says it)
        self.check_measured(stage, task)
        return self.values[..., stage, self.position(task)]


def mean(values: Sequence[V]) -> V:
    """The mean of numbers, or of arrays element by element; there is at least one.

    Example:
        >>> mean([0.25, 0.75])
        0.5
    """
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total / len(values)


def largest(values: Sequence[V]) -> V:
    """The largest of numbers, or of arrays element by element; there is at least one.

    Example:
        >>> largest([np.array([0.25, 0.5]), np.array([0.75, 0.0])])
        array([0.75, 0.5 ])
    """
    best = np.max(np.stack(values), axis=0)
    return cast("V", best if isinstance(best, np.ndarray) else float(best))


def _refuse_duplicates(kind: str, names: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"{kind} '{name}' appears {count} times, needed unique names")
