"""Which single items were lost and gained, and whether chance alone would flip as many.

Counts of flips are not forgetting: a guessed answer flips by itself.  A test of the lost against
the gained tells the two apart, because guessing flips both ways alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forgetless.errors import NotMeasured
from forgetless.metrics.cells import Cell
from forgetless.metrics.pairing import number_groups
from forgetless.metrics.scores import Groups
from forgetless.metrics.sign_flip import group_sums, sign_flip


@dataclass(frozen=True, slots=True)
class Flips:
    """The items of one task that changed between two rows of the matrix.

    Attributes:
        lost: Ids of the items that went from right to wrong.
        gained: Ids of the items that went from wrong to right.
        items: Number of items compared: those scored in both rows.
        excluded: Number of items left out because one of the rows could not score them.
        p_value: Of lost against gained: McNemar's exact test, or by groups (:func:`sign_flip`).
    """

    lost: tuple[str, ...]
    gained: tuple[str, ...]
    items: int
    excluded: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Drop:
    """One item that scored lower after than before.

    Attributes:
        item: Its id.
        before: Score before, in the unit of the task.
        after: Score after.
    """

    item: str
    before: float
    after: float

    @property
    def size(self) -> float:
        """How far the score fell, in the unit of the task; positive."""
        return self.before - self.after


def find_flips(before: Cell, after: Cell, groups: Groups | None = None) -> Flips:
    """Name the items that went from right to wrong, and from wrong to right.

    Args:
        before: A task's items in one row, each scored 0 or 1.
        after: The same items in a later row.
        groups: Of the items; those of one group flip together, and swap signs together in the test
            (:func:`~forgetless.metrics.sign_flip`).

    Returns:
        The flips, in the order of ``before``.

    Raises:
        NotMeasured: if an item has a score between right and wrong, or no item was scored in both.

    Example:
        >>> before = Cell({"q1": 1.0, "q2": 1.0, "q3": 0.0})
        >>> find_flips(before, Cell({"q1": 0.0, "q2": 1.0, "q3": 1.0}))
        Flips(lost=('q1',), gained=('q3',), items=3, excluded=0, p_value=1.0)
    """
    shared = _shared(before, after)
    for item in shared:
        for score in (before.scores[item], after.scores[item]):
            if score not in (0.0, 1.0):
                raise NotMeasured(
                    f"item '{item}' has the score {score:g}; only items that are right (1) or "
                    "wrong (0) can flip, graded ones drop (see largest_drops)"
                )
    lost = tuple(item for item in shared if before.scores[item] > after.scores[item])
    gained = tuple(item for item in shared if before.scores[item] < after.scores[item])
    changes = np.array([after.scores[item] - before.scores[item] for item in shared])
    number = number_groups(shared, groups or {})
    seen = {*before.scores, *before.errors, *after.scores, *after.errors}
    return Flips(
        lost=lost,
        gained=gained,
        items=len(shared),
        excluded=len(seen) - len(shared),
        p_value=sign_flip(group_sums(changes, number)),
    )


def largest_drops(before: Cell, after: Cell, limit: int = 10) -> tuple[Drop, ...]:
    """The items whose scores fell furthest, for graded scores such as token F1 or nats.

    Args:
        before: A task's items in one row.
        after: The same items in a later row.
        limit: Most items to name.

    Returns:
        The largest drop first, equal ones in the order of ``before``; items that did not fall are
        not named.

    Raises:
        NotMeasured: if no item was scored in both rows.
        ValueError: if ``limit`` is negative.

    Example:
        >>> drops = largest_drops(Cell({"q1": -0.5, "q2": -1.0}), Cell({"q1": -2.0, "q2": -0.25}))
        >>> [(drop.item, drop.size) for drop in drops]
        [('q1', 1.5)]
    """
    if limit < 0:
        raise ValueError(f"limit is {limit}, needed at least 0")
    drops = [Drop(i, before.scores[i], after.scores[i]) for i in _shared(before, after)]
    fallen = sorted((drop for drop in drops if drop.size > 0), key=lambda drop: -drop.size)
    return tuple(fallen[:limit])


def _shared(before: Cell, after: Cell) -> list[str]:
    shared = [item for item in before.scores if item in after.scores]
    if not shared:
        raise NotMeasured("no item was scored both before and after")
    return shared
