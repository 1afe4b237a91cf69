"""The score matrix of one run: every task, measured after every stage.

Cells keep their items, because almost everything worth saying compares the *same* items before and
after: which were lost, how sure we are, what is left when one could not be scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from forgetless.errors import NotMeasured
from forgetless.metrics.cells import Cell, CellMean, PairedItems, check_range, pair
from forgetless.metrics.scores import Scores, TaskColumn

_NONE_COMMON = "no item was scored in every row"


class ScoreMatrix(Scores[float]):
    """R[i, j], the score on task j after stage i, as a mean over items.

    All scores of a task are means over the same items, those that every measured row has scored;
    otherwise an item that crashed in one row alone would look like something learned or lost.

    Args:
        stages: Names of the rows; the first is the untouched model.
        tasks: The columns.
        cells: What was measured, by (row, task name).
        missing: Reason for each cell that was not measured; a cell in neither gets a general one.

    Raises:
        ValueError: if names, stages or scores contradict one another.

    Example:
        >>> from forgetless.metrics import Cell, ScoreMatrix, TaskColumn
        >>> before = Cell({"q1": 1.0, "q2": 1.0, "q3": 0.0})
        >>> after = Cell({"q1": 1.0, "q2": 0.0}, errors={"q3": "out of memory"})
        >>> cells = {(0, "law"): before, (1, "law"): after}
        >>> matrix = ScoreMatrix(["base", "tax"], [TaskColumn("law")], cells)
        >>> matrix.score(0, "law"), matrix.score(1, "law"), matrix.excluded_items("law")
        (1.0, 0.5, 1)
    """

    def __init__(
        self,
        stages: Sequence[str],
        tasks: Sequence[TaskColumn],
        cells: Mapping[tuple[int, str], Cell | CellMean],
        missing: Mapping[tuple[int, str], str] | None = None,
    ) -> None:
        self.cells: Mapping[tuple[int, str], Cell | CellMean] = MappingProxyType(dict(cells))
        self._paired = {task.name: self._pair(task.name) for task in tasks}
        absent = {
            (row, task.name): "no result was recorded"
            for row in range(len(stages))
            for task in tasks
            if (row, task.name) not in cells
        }
        super().__init__(stages, tasks, {**absent, **(missing or {}), **self._unscored()})
        for (row, name), cell in cells.items():
            self.check_cell(row, name)
            check_range(row, self.column(name), cell)
            if (row, name) in (missing or {}):
                raise ValueError(f"task '{name}' after stage {row} is both measured and missing")

    def of_task(self, task: str) -> ScoreMatrix:
        """The column of one task as a matrix of its own; its figures cost less time there."""
        return ScoreMatrix(
            self.stages,
            [self.column(task)],
            {key: cell for key, cell in self.cells.items() if key[1] == task},
            {
                key: reason
                for key, reason in self.missing.items()
                if key[1] == task and key not in self.cells
            },
        )

    @classmethod
    def from_values(
        cls,
        stages: Sequence[str],
        tasks: Sequence[TaskColumn],
        values: Sequence[Sequence[float | None]],
    ) -> ScoreMatrix:
        """Make a matrix by hand, without items; ``None`` is a cell that was not measured.

        Figures work as usual; intervals and flips need items, and say so.

        Args:
            stages: Names of the rows.
            tasks: The columns.
            values: Shape (T+1, T').

        Raises:
            ValueError: if the shape does not fit.

        Example:
            >>> from forgetless.metrics import ScoreMatrix, TaskColumn, forgetting
            >>> law = TaskColumn("law", trained_in=1)
            >>> matrix = ScoreMatrix.from_values(
            ...     ["base", "law", "tax"], [law], [[0.25], [0.75], [0.5]]
            ... )
            >>> forgetting(matrix, "law")
            0.25
        """
        if len(values) != len(stages):
            raise ValueError(f"values has {len(values)} rows for {len(stages)} stages")
        for row, line in enumerate(values):
            if len(line) != len(tasks):
                raise ValueError(f"values[{row}] has {len(line)} entries for {len(tasks)} tasks")
        cells = {
            (row, task.name): CellMean(value)
            for row, line in enumerate(values)
            for task, value in zip(tasks, line, strict=True)
            if value is not None
        }
        return cls(stages, tasks, cells)

    def score(self, stage: int, task: str) -> float:
        """The score on a task after a stage: the mean over the task's paired items.

        Args:
            stage: Row, 0 for the untouched model.
            task: Name of the column.

        Returns:
            In [0, 1] for an accuracy, at most 0 for nats; higher is better.

        Raises:
            NotMeasured: if the cell, or every item that its rows could share, was not measured.
            ValueError: if there is no such row or column.
        """
        self.check_measured(stage, task)
        cell = self.cells[stage, task]
        if isinstance(cell, CellMean):
            return float(cell.mean)
        return float(self.paired(task).rows[stage].mean())

    @property
    def values(self) -> list[list[float | None]]:
        """The scores as rows of a table, shape (T+1, T'); ``None`` where there is none."""
        return [
            [self._score_or_none(row, task.name) for task in self.tasks]
            for row in range(len(self.stages))
        ]

    def cell(self, stage: int, task: str) -> Cell:
        """The items of one cell as they were scored, paired or not.

        Raises:
            NotMeasured: if the cell was never measured, or only its mean is known.
            ValueError: if there is no such row or column.
        """
        self.check_measured(stage, task)
        cell = self.cells[stage, task]
        if isinstance(cell, CellMean):
            raise _no_items(task)
        return cell

    def paired(self, task: str) -> PairedItems:
        """The items of a task that every measured row has scored.

        Raises:
            NotMeasured: if there are none, or only means are known.
            ValueError: if there is no such column.
        """
        items = self._paired[self.column(task).name]
        if items is None:
            raise _no_items(task)
        if not items.ids:
            raise NotMeasured(f"task '{task}': {_NONE_COMMON}")
        return items

    def item_count(self, task: str) -> int | None:
        """How many items the scores of a task are means over; ``None`` where that is not known."""
        items = self._paired[self.column(task).name]
        return len(items.ids) if items is not None else self._first_mean(task).items

    def excluded_items(self, task: str) -> int:
        """How many items no score of the task counts, because some row could not score them."""
        items = self._paired[self.column(task).name] or self._first_mean(task)
        return items.excluded

    def _score_or_none(self, row: int, task: str) -> float | None:
        try:
            return self.score(row, task)
        except NotMeasured:
            return None

    def _first_mean(self, task: str) -> CellMean:
        cells = (cell for (_, name), cell in self.cells.items() if name == task)
        return next(cell for cell in cells if isinstance(cell, CellMean))

    def _unscored(self) -> dict[tuple[int, str], str]:
        """Why cells that were measured have no score all the same."""
        reasons = {}
        for (row, task), cell in self.cells.items():
            items = self._paired.get(task)
            if cell.reason is not None:
                reasons[row, task] = cell.reason
            elif items is not None and not items.ids:
                reasons[row, task] = _NONE_COMMON
        return reasons

    def _pair(self, task: str) -> PairedItems | None:
        """Pair the items of a task; ``None`` if only means are known."""
        rows = {row: cell for (row, name), cell in self.cells.items() if name == task}
        itemised = {row: cell for row, cell in rows.items() if isinstance(cell, Cell)}
        if itemised and len(itemised) < len(rows):
            raise ValueError(f"task '{task}' has items in some rows and only means in others")
        return pair(itemised) if itemised or not rows else None


def _no_items(task: str) -> NotMeasured:
    return NotMeasured(f"task '{task}': only mean scores are known, not the single items")
