"""One cell of the score matrix, and the pairing of a task's cells by item."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from forgetless.metrics.scores import FloatArray, TaskColumn

_ABOVE_ZERO = 1e-6
"""How far rounding may lift a log-likelihood above 0, in nats."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The items of one task as scored after one stage.

    Attributes:
        scores: Item id to score, in the unit of the task.
        errors: Item id to the reason why it could not be scored.  A crash is never a score.

    Raises:
        ValueError: if a score is not a finite number, or an item is in both.
    """

    scores: Mapping[str, float]
    errors: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for item, score in self.scores.items():
            if not math.isfinite(score):
                raise ValueError(
                    f"item '{item}' has the score {score}; an item that could not be scored "
                    "belongs in errors, with the reason"
                )
            if item in self.errors:
                raise ValueError(f"item '{item}' has both a score and an error")
        object.__setattr__(self, "scores", MappingProxyType(dict(self.scores)))
        object.__setattr__(self, "errors", MappingProxyType(dict(self.errors)))

    @property
    def reason(self) -> str | None:
        """Why the cell has no score, or ``None`` if it has one."""
        if self.scores:
            return None
        if not self.errors:
            return "it has no items"
        first = next(iter(self.errors.values()))
        return f"none of its {len(self.errors)} items could be scored (the first: {first})"


@dataclass(frozen=True, slots=True)
class CellMean:
    """A cell of which only the mean is known: typed in by hand, or read back from matrix.json.

    Attributes:
        mean: Score in the unit of the task.
        items: Number of items it is the mean of, where known.
        errors: Number of items that could not be scored.
        excluded: Number of items left out because some row of the task could not score them.

    Raises:
        ValueError: if the mean is not a finite number.
    """

    mean: float
    items: int | None = None
    errors: int = 0
    excluded: int = 0

    def __post_init__(self) -> None:
        if not math.isfinite(self.mean):
            raise ValueError(f"a mean is {self.mean}; leave out a cell that was not measured")

    @property
    def reason(self) -> None:
        """A mean is always a score."""


@dataclass(frozen=True, slots=True)
class PairedItems:
    """The items of one task that every measured row has scored.

    Attributes:
        ids: Length n.
        rows: Row of the matrix to its scores, shape (n,), in the order of ``ids``.
        excluded: Number of further items, each left unscored in at least one row.
    """

    ids: tuple[str, ...]
    rows: Mapping[int, FloatArray]
    excluded: int


def pair(cells: Mapping[int, Cell]) -> PairedItems:
    """Keep the items that every row has scored; a row that scored none has no say.

    Args:
        cells: Row of the matrix to the task's cell in it.

    Returns:
        The paired items, in the order in which the first row names them.

    Example:
        >>> paired = pair({0: Cell({"a": 1.0, "b": 0.0}), 1: Cell({"b": 1.0}, {"a": "timeout"})})
        >>> paired.ids, paired.excluded
        (('b',), 1)
    """
    measured = {row: cell for row, cell in sorted(cells.items()) if cell.scores}
    seen = dict.fromkeys(
        item for _, cell in sorted(cells.items()) for item in (*cell.scores, *cell.errors)
    )
    ids = tuple(
        item for item in seen if all(item in cell.scores for cell in measured.values()) and measured
    )
    return PairedItems(
        ids=ids,
        rows=MappingProxyType(
            {row: np.array([c.scores[i] for i in ids], float) for row, c in measured.items()}
        ),
        excluded=len(seen) - len(ids),
    )


def check_range(row: int, task: TaskColumn, cell: Cell | CellMean) -> None:
    """Refuse percentages and losses, which look like scores and would turn signs around.

    Raises:
        ValueError: if a score lies outside the range of the task's unit.
    """
    scores = cell.scores if isinstance(cell, Cell) else {"mean": cell.mean}
    for item, score in scores.items():
        if task.unit == "accuracy" and not 0 <= score <= 1:
            needed = "needed 0 to 1 for an accuracy (a percentage? divide it by 100)"
        elif task.unit == "nats" and score > _ABOVE_ZERO:
            needed = "needed a log-likelihood, at most 0 (a loss? change its sign)"
        else:
            continue
        raise ValueError(
            f"task '{task.name}' after stage {row}: the score of '{item}' is {score:g}, {needed}"
        )
