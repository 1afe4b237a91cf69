"""What became of one task between two models: kept, lost, or not to be told from these items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from forgetless.metrics.flips import Flips
from forgetless.metrics.scores import ROUNDING, Unit
from forgetless.metrics.summary import Figure

Verdict = Literal["kept", "lost", "inconclusive", "at floor", "at ceiling", "failed"]
"""``failed``: too many items have no answer for anything to be said."""

Nature = Literal["format", "knowledge"]
"""What is missing after a loss: the form in which answers are wanted, or what they say."""


@dataclass(frozen=True, slots=True)
class NullFlips:
    """How many items flip when nothing was lost: the before model against itself, asked otherwise.

    Attributes:
        lost: Items right as they are asked in the audit and wrong when asked otherwise, as a mean
            over the other ways of asking.
        gained: The same of items wrong and then right.
        items: Items compared.
        ways: In how many other ways each item was asked.
        how: What was changed, e.g. ``choices permuted``.
    """

    lost: float
    gained: float
    items: int
    ways: int
    how: str

    def losses(self, items: int) -> float:
        """How many of so many items are lost by asking otherwise alone."""
        return self.lost / self.items * items


@dataclass(frozen=True, slots=True)
class Reading:
    """Another reading of the same answers, before and after.

    Attributes:
        name: As in the items' readings, e.g. ``contains`` or ``nll``.
        before: Mean over the items compared.
        after: The same afterwards.
        change: ``after - before``, in the unit of the reading.
    """

    name: str
    before: Figure
    after: Figure
    change: Figure


@dataclass(frozen=True, slots=True)
class TaskVerdict:
    """What became of one task.

    Attributes:
        task: Its name.
        unit: Unit of its scores.
        verdict: The word for it.
        reason: Why, in one sentence with figures.
        budget: Largest loss accepted, in the unit of the task.
        items: Items that both models answered.
        missing: Items that one of them did not; they count neither as right nor as wrong.
        before: Mean score before.
        after: Mean score after.
        change: ``after - before``; negative = lost.
        worst: The same if every item without an answer was lost; None where none is missing, and of
            log-likelihoods, which have no bound.
        flips: Items lost and gained, where scores are right or wrong.
        p_value: Of no change: exact McNemar, or the bootstrap's where scores are graded or items
            come in groups; None where there is nothing to test.
        p_adjusted: The same, Holm-adjusted over the tasks of the audit.
        null: How many items flip by themselves; None if that was not asked.
        detectable: Smallest true loss that these items would show in four of five audits, in the
            unit of the task, at the rate of flips seen.
        items_needed: About how many items would decide, where the verdict is inconclusive.
        chance: Score of guessing, in [0, 1]; None where there is no such thing.
        readings: Other readings of the answers, by name.
        nature: Whether form or knowledge was lost, where a loss and the readings tell.
    """

    task: str
    unit: Unit
    verdict: Verdict
    reason: str
    budget: float
    items: int
    missing: int
    before: Figure
    after: Figure
    change: Figure
    worst: Figure | None = None
    flips: Flips | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    null: NullFlips | None = None
    detectable: float | None = None
    items_needed: int | None = None
    chance: float | None = None
    readings: Mapping[str, Reading] = field(default_factory=dict)
    nature: Nature | None = None

    @property
    def within_budget(self) -> bool:
        """Whether no loss beyond it is within the limits, with all unanswered items lost."""
        limits = (self.worst or self.change).interval
        return limits is not None and -limits.low <= self.budget + ROUNDING

    @property
    def rose_from_floor(self) -> bool:
        """Whether there was nothing to lose, and a sure gain: a task that is new to the model.

        Sure is a gain even with all unanswered items lost.
        """
        limits = (self.worst or self.change).interval
        return self.verdict == "at floor" and limits is not None and limits.low > 0

    @property
    def excess_losses(self) -> float | None:
        """Items lost beyond those that the model before loses itself; None if it was not asked."""
        if self.flips is None or self.null is None:
            return None
        return len(self.flips.lost) - self.null.losses(self.items)
