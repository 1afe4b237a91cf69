"""What a comparison found: plain data that tables and files are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forgetless.metrics import Figure
from forgetless.metrics.frontier import frontier
from forgetless.metrics.scores import ROUNDING


@dataclass(frozen=True, slots=True)
class PointTried:
    """One point of an arm's grid.

    Attributes:
        rate: Learning rate.
        options: Values of the tuned options, by ``method.option``.
        value: Average accuracy on the items that choose; None if the run failed.
        failed: Why there is none.
        over: By how much it is over the budget; 0 within it, or without one.
    """

    rate: float
    options: Mapping[str, Any]
    value: float | None
    failed: str | None = None
    over: float = 0.0


@dataclass(frozen=True, slots=True)
class ArmResult:
    """One arm at its best point, over the items that did not choose it.

    Attributes:
        name: Its name in tables.
        methods: Its methods as in a plan; empty for plain training.
        rate: The chosen learning rate; None if every point failed.
        options: The chosen values of the tuned options.
        tried: Every point, in the order of the grid; empty if there was but one.
        at_edge: Whether the chosen rate is the least or the largest that was tried.
        run: Folder of the run, relative to the comparison's; empty if there is none.
        failed: Why nothing is known of it; None otherwise.
        accuracy: Average accuracy at the end.
        by_seed: The same with each training seed.
        learned: Learning accuracy: each task right after it was learned.
        forgetting: Average forgetting, the mean over seeds; positive = lost.
        gap_closed: 0 as plain, 1 as joint training.
        gain: Average accuracy less that of plain training, over the same items; its limits hold for
            all protections at once (Bonferroni), since one of many is recommended by them.
        elsewhere: Mean change on the tasks that are only tested; negative = lost.
        over_budget: Largest loss of a kept task beyond the budget; at most 0 within it.
        nearer: By how much less it is over the budget than plain training, over the same items;
            its limits hold for all protections at once, as those of ``gain``.
        to_best: Average accuracy less that of the best arm, over the same items; with a budget, the
            best of those within it.
        cost: Time of training relative to plain training.
        memory: Peak memory relative to plain training; None if not measured.
        replay_share: Largest share of rehearsed tokens in a stage.
    """

    name: str
    methods: tuple[Mapping[str, Any], ...]
    rate: float | None
    options: Mapping[str, Any]
    tried: tuple[PointTried, ...]
    at_edge: bool
    run: str
    failed: str | None
    accuracy: Figure
    by_seed: Mapping[int, float]
    learned: Figure
    forgetting: Figure
    gap_closed: Figure
    gain: Figure
    elsewhere: Figure
    over_budget: Figure
    nearer: Figure
    to_best: Figure
    cost: float | None
    memory: float | None
    replay_share: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found.

    Attributes:
        model: The model that was trained.
        tasks: Names of the trained tasks, in order.
        arms: Plain and joint training first, then the others in the order given.
        recommended: Name of the arm that is recommended; None if no protection is.
        reasons: Why, in sentences.
        items: Items per task that the figures rest on; as many others chose.
        level: Confidence level of the intervals.
        pilot: Share of the training that was carried out; 1 for all of it.
        seeds: Training seeds that the figures are means over.
        budget: The loss that is accepted, in words; empty without a budget.
        created: When, in UTC, as ISO 8601.
    """

    model: str
    tasks: tuple[str, ...]
    arms: tuple[ArmResult, ...]
    recommended: str | None
    reasons: tuple[str, ...]
    items: Mapping[str, int]
    level: float
    pilot: float
    seeds: tuple[int, ...]
    budget: str
    created: str

    @property
    def frontier(self) -> tuple[ArmResult, ...]:
        """Arms that no other beats in both what was learned and what of it was forgotten.

        The one that learned most first; joint training has nothing to forget, and is none of them.
        """
        best = frontier(self.traded, _learned, _forgotten)
        ends = {(_learned(arm), _forgotten(arm)) for arm in best}
        equal = [arm for arm in self.traded if (_learned(arm), _forgotten(arm)) in ends]
        return tuple(sorted(equal, key=_learned, reverse=True))

    @property
    def traded(self) -> list[ArmResult]:
        """Arms of which both is known."""
        return [
            arm
            for arm in self.arms
            if arm.learned.value is not None and arm.forgetting.value is not None
        ]

    def arm(self, name: str) -> ArmResult:
        """The arm of a name.

        Raises:
            KeyError: if there is none.
        """
        return {arm.name: arm for arm in self.arms}[name]


def within_budget(over: Figure) -> bool:
    """Whether the largest loss beyond the budget says that it is kept."""
    return over.value is not None and over.value <= ROUNDING


def _learned(arm: ArmResult) -> float:
    return arm.learned.value or 0.0


def _forgotten(arm: ArmResult) -> float:
    return arm.forgetting.value or 0.0
