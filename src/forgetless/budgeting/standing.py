"""How a model stands to a budget: the loss of every kept task, item by item, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from forgetless.metrics.scores import ROUNDING
from forgetless.plan import BudgetConfig

Scores = Mapping[str, float]
"""Item id to score."""

FEWEST_ANSWERED = 0.9
"""Share of the items; with fewer answers nothing can be vouched for."""


@dataclass(frozen=True)
class Loss:
    """What one task has lost.

    Attributes:
        found: Mean score before less mean score now, over the items answered both times; in points
            or nats per token.  Positive = lost.
        error: Its standard error; 0 where every item lost the same, infinite where there
            is but one item or group.
        allowed: The budget, in the same unit.
        answered: Share of the items answered before that are answered now as well, in [0, 1].
    """

    found: float
    error: float
    allowed: float
    answered: float

    @property
    def excess(self) -> float:
        """What the loss is beyond the budget, in budgets; negative while it is within.

        A task without answers is as good as over budget.
        """
        if self.answered < FEWEST_ANSWERED:
            return 1.0
        return (self.found - self.allowed) / self.allowed

    def within(self, margin: float, anyway: float) -> bool:
        """Whether the loss and so many standard errors are within the budget.

        Args:
            margin: Standard errors.
            anyway: A loss that is accepted whatever the budget: what was lost before.
        """
        if self.answered < FEWEST_ANSWERED:
            return False
        caution = margin * self.error if margin else 0.0  # 0 times infinite is no number
        clearly = self.found + caution <= self.allowed + ROUNDING
        return clearly or self.found <= anyway + ROUNDING


def loss_of(
    before: Scores,
    now: Scores,
    budget: BudgetConfig,
    task: str,
    share: float = 1.0,
    groups: Mapping[str, str] | None = None,
) -> Loss:
    """The loss of a task since it was learned, or since the untouched model.

    Args:
        before: Its items as they were answered then.
        now: As they are now.
        budget: The plan's budget.
        task: Its name.
        share: Part of its budget that may be spent by now, in (0, 1].
        groups: Item to its group, of those that do not stand alone: what a group loses together
            counts as one thing lost.

    Example:
        >>> loss_of({"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 0.0}, BudgetConfig(loss=0.1), "law")
        Loss(found=0.5, error=0.5, allowed=0.1, answered=1.0)
    """
    ids = [item for item in before if item in now]
    if not ids:
        return Loss(0.0, 0.0, share * budget.of(task), 0.0)
    first = np.array([before[item] for item in ids])
    lost = first - np.array([now[item] for item in ids])
    _, number = np.unique([(groups or {}).get(item, item) for item in ids], return_inverse=True)
    spread = np.bincount(number, lost - lost.mean())
    error = math.inf
    if len(spread) > 1:
        more = len(spread) / (len(spread) - 1)
        error = math.sqrt(more * float((spread**2).sum())) / len(ids)
    allowed = share * budget.allowed(task, float(first.mean()))
    return Loss(float(lost.mean()), error, max(allowed, ROUNDING), len(ids) / len(before))


def found_in(losses: Mapping[str, Loss]) -> dict[str, float]:
    """By task, what was found to be lost."""
    return {name: loss.found for name, loss in losses.items()}


def mean_of(scores: Scores) -> float:
    """Mean score of the items that were answered; 0 without any."""
    return float(np.mean(list(scores.values()))) if scores else 0.0
