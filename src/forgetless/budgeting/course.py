"""What a budget knows within a stage: begun anew with each, and nothing of it outlives one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from forgetless.budgeting.standing import Scores, mean_of
from forgetless.budgeting.steering import emphasis, step_share
from forgetless.metrics.judging import CEILING

if TYPE_CHECKING:
    import torch


@dataclass
class Course:
    """The course of one stage.

    Attributes:
        tokenizer: The model's.
        shares: By kept task, the part of its budget that may be spent by the end of the stage.
        before: What is trained, as it was before the stage.
        at_start: By task of the stage, its items as they were answered then.
        protected: Whether there is something that a price can strengthen.
        due: Steps after which the kept tasks are checked.
        step: Steps taken.
        price: Of losses, at least 1.
        checks: What each check found, as plain data, and the price from then on.
        snapshot: What is trained, as it was at the last check within budget.
        aside: What is trained, as it was before a step that is to be shortened.
    """

    tokenizer: Any = None
    shares: Mapping[str, float] = field(default_factory=dict)
    before: Mapping[str, torch.Tensor] = field(default_factory=dict)
    at_start: Mapping[str, Scores] = field(default_factory=dict)
    protected: bool = False
    due: frozenset[int] = frozenset()
    step: int = 0
    price: float = 1.0
    checks: list[dict[str, Any]] = field(default_factory=list)
    snapshot: Mapping[str, torch.Tensor] = field(default_factory=dict)
    aside: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @property
    def emphasis(self) -> float:
        """By how much rehearsed rows weigh more."""
        return emphasis(self.price, protected=self.protected)

    @property
    def step_share(self) -> float:
        """What is left of an optimiser step."""
        return step_share(self.price, protected=self.protected)

    @property
    def slowed(self) -> bool:
        """Whether there was something to learn and losses had their price while it was not."""
        open_to_more = any(mean_of(scores) < CEILING for scores in self.at_start.values())
        return open_to_more and any(check["price"] > 1 for check in self.checks)


def due_steps(checks: int, steps: int) -> frozenset[int]:
    """So many steps at even distances; the last is not among them, for the end is asked anyway.

    Example:
        >>> sorted(due_steps(4, 20)), sorted(due_steps(4, 2))
        ([4, 8, 12, 16], [1])
    """
    evenly = (round(number * steps / (checks + 1)) for number in range(1, checks + 1))
    return frozenset(evenly) - {0, steps}
