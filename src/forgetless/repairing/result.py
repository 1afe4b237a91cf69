"""What a repair came to: plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from forgetless.metrics import TaskVerdict

Status = Literal[
    "repaired", "uncertain", "not certified", "nothing lost", "no loss seen", "no point"
]

EXIT_CODES: Mapping[Status, int] = {
    "repaired": 0,
    "nothing lost": 0,
    "not certified": 3,
    "no point": 3,
    "uncertain": 4,
    "no loss seen": 4,
}
"""What ``forgetless repair`` ends with."""

WRITTEN: frozenset[Status] = frozenset({"repaired", "uncertain"})
"""Where there is a model to write."""


@dataclass(frozen=True, slots=True)
class PointScored:
    """A point between base and tuned model, on the items that search.

    Attributes:
        name: Which, e.g. ``0.6`` or ``0.4/0.6/0.6``: how far to go in each third of the layers.
        learned: What is kept of what tuning gained, mean over the learned tasks.
        over: Largest loss beyond the budget on any task; 0 if all are within it.
        scores: Mean score of every task.
    """

    name: str
    learned: float
    over: float
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RepairResult:
    """What was found.

    Attributes:
        status: ``repaired``: certified within the budget; ``uncertain``: the items do not certify
            it; ``not certified``: a loss beyond the budget on the items that certify; ``nothing
            lost``: the tuned model is certified within the budget; ``no loss seen``: it may be, but
            the items do not certify it; ``no point``: every point within the budget keeps next to
            nothing of what was learned.
        reason: Why, in a sentence.
        point: The chosen point, the tuned model if it lost nothing; None if none was chosen.
        learned: Tasks on which tuning gained.
        lost: Tasks on which it lost more than the budget.
        kept: What the chosen point keeps of the gain on each learned task, on the items that
            certify.
        certificate: The chosen point against the base on the items that certify.
        frontier: The nearest choices: points that no other beats in both.
        asked: Points that were scored.
        items: Items per task that search, and as many others certify.
        model: Folder of the repaired model; empty if none was written.
    """

    status: Status
    reason: str
    point: PointScored | None
    learned: tuple[str, ...]
    lost: tuple[str, ...]
    kept: Mapping[str, float]
    certificate: tuple[TaskVerdict, ...]
    frontier: tuple[PointScored, ...]
    asked: int
    items: Mapping[str, int]
    model: str = ""

    @property
    def exit_code(self) -> int:
        """What the command line ends with."""
        return EXIT_CODES[self.status]
