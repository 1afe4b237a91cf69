"""What a verdict on one task rests on: the same items, as scored before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from forgetless.metrics.cells import Cell
from forgetless.metrics.floor import Chance, mean_chance
from forgetless.metrics.matrix import ScoreMatrix
from forgetless.metrics.pairing import number_groups
from forgetless.metrics.scores import FloatArray, Groups, IntArray, TaskColumn, Unit
from forgetless.metrics.sign_flip import group_sums
from forgetless.metrics.verdict import NullFlips

ItemReadings = Mapping[str, Mapping[str, float]]
"""Name of a reading, e.g. ``contains``, to the items' values by id."""


@dataclass(frozen=True)
class Evidence:
    """One task of one comparison, item by item.

    Attributes:
        task: Its name.
        unit: Unit of its scores.
        before: Items as the model before answered them.
        after: The same of the model after.
        groups: Item to its group; absent or empty if it stands alone.
        chance: Score of guessing, e.g. 1/4 with four choices, or item by item; None where there is
            no such thing.
        readings_before: Other readings of the answers before.
        readings_after: The same of the answers after.
        null: The model before, asked the same items in other ways.
        how: What was changed for ``null``, e.g. ``choices permuted``.
        parts: Item to the part of a graded task that it is of, such as a level; empty if it is not
            graded.
        budget: Largest loss accepted of it, in the unit of its scores; None: that of all tasks.
    """

    task: str
    unit: Unit
    before: Cell
    after: Cell
    groups: Groups = field(default_factory=dict)
    chance: Chance | None = None
    readings_before: ItemReadings = field(default_factory=dict)
    readings_after: ItemReadings = field(default_factory=dict)
    null: Sequence[Cell] = ()
    how: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    budget: float | None = None

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Items that both models answered, sorted."""
        return tuple(sorted(self.before.scores.keys() & self.after.scores.keys()))

    @cached_property
    def missing(self) -> int:
        """Items that at least one of them did not; they count neither as right nor as wrong."""
        return len(self._asked) - len(self.ids)

    def at_worst(self) -> Evidence:
        """The same, with all lost that was not answered: scores from 0 to 1 alone."""
        return replace(
            self,
            before=Cell({item: self.before.scores.get(item, 1.0) for item in self._asked}),
            after=Cell({item: self.after.scores.get(item, 0.0) for item in self._asked}),
        )

    @cached_property
    def _asked(self) -> tuple[str, ...]:
        cells = (self.before, self.after)
        return tuple(dict.fromkeys(i for cell in cells for i in (*cell.scores, *cell.errors)))

    @cached_property
    def number(self) -> IntArray | None:
        """Group of each answered item, shape (n,); None if every item stands alone."""
        return number_groups(self.ids, self.groups)

    @cached_property
    def scores(self) -> tuple[FloatArray, FloatArray]:
        """Scores before and after of the answered items, shape (n,) each."""
        return (
            np.array([self.before.scores[item] for item in self.ids], float),
            np.array([self.after.scores[item] for item in self.ids], float),
        )

    def scores_of_parts(self) -> list[tuple[FloatArray, float, IntArray | None]]:
        """Of each part the scores before, the score of guessing, and the items' groups."""
        found = []
        for part in sorted({self.parts[item] for item in self.ids if item in self.parts}):
            ids = [item for item in self.ids if self.parts.get(item) == part]
            before = np.array([self.before.scores[item] for item in ids], float)
            chance = mean_chance(self.chance, ids) or 0.0
            found.append((before, chance, number_groups(ids, self.groups)))
        return found

    @cached_property
    def changes(self) -> FloatArray:
        """Total change of each group, after less before, shape (groups,)."""
        before, after = self.scores
        return group_sums(after - before, self.number)

    @property
    def right_or_wrong(self) -> bool:
        """Whether every answer is either right (1) or wrong (0)."""
        return self.unit == "accuracy" and bool(np.isin(self.scores, (0.0, 1.0)).all())

    @property
    def mean_chance(self) -> float | None:
        """Score of guessing, as a mean over the answered items."""
        return mean_chance(self.chance, self.ids)

    @property
    def cluster(self) -> float:
        """Mean square size of the groups over their mean size; 1 if every item stands alone."""
        if self.number is None:
            return 1.0
        sizes = np.bincount(self.number)
        return float((sizes**2).sum() / sizes.sum())

    @property
    def spread(self) -> float:
        """Variance that one item adds to the total change; the share of flips, if independent.

        Scores without bounds are taken about their mean, for what moves all alike is no noise.
        """
        n = len(self.ids)
        changes = self.changes
        if self.unit == "nats":
            sizes = group_sums(np.ones(n), self.number)
            changes = changes - sizes * changes.sum() / n
        return float((changes**2).sum() / n)

    def matrix(self) -> ScoreMatrix:
        """Both rows as a score matrix, which figures and intervals are made from."""
        return ScoreMatrix(
            ["before", "after"],
            [TaskColumn(self.task, self.unit, groups=self.groups)],
            {(0, self.task): self.before, (1, self.task): self.after},
        )


def by_reading(items: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, float]]:
    """Turn the readings of single items round; an item without a reading is absent from it.

    Args:
        items: Item to its readings by name.

    Returns:
        Name of a reading to item to value.

    Example:
        >>> by_reading({"a": {"contains": 1.0, "nll": None}, "b": {"contains": 0.0}})
        {'contains': {'a': 1.0, 'b': 0.0}}
    """
    found: dict[str, dict[str, float]] = {}
    for item, readings in items.items():
        for name, value in readings.items():
            if value is not None:
                found.setdefault(name, {})[item] = value
    return found


def count_null_flips(before: Cell, others: Sequence[Cell], how: str) -> NullFlips | None:
    """How many right-or-wrong answers of one model flip when it is asked otherwise.

    Args:
        before: Its main answers.
        others: Its answers in each other way of asking.
        how: What was changed.

    Returns:
        Counted over the items answered in every way; None if there are none, or scores are graded.

    Example:
        >>> count_null_flips(Cell({"a": 1.0, "b": 0.0}), [Cell({"a": 0.0, "b": 0.0})], "reworded")
        NullFlips(lost=1.0, gained=0.0, items=2, ways=1, how='reworded')
    """
    ids = [item for item in before.scores if all(item in cell.scores for cell in others)]
    if not ids or not others:
        return None
    ways = np.array([[cell.scores[item] for item in ids] for cell in (before, *others)])
    if not np.isin(ways, (0.0, 1.0)).all():
        return None
    lost = float((ways[1:] < ways[0]).sum(axis=1).mean())
    gained = float((ways[1:] > ways[0]).sum(axis=1).mean())
    return NullFlips(lost, gained, len(ids), len(others), how)
