"""The loss that a plan accepts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from forgetless.plan.base import Config
from forgetless.plan.shares import Share


class BudgetConfig(Config):
    """How much may be lost while something new is learned."""

    loss: Share = Field(
        gt=0,
        lt=1,
        description="largest loss accepted on every older and every test-only task: 2% or 0.02 are "
        "two points, or 0.02 nats per token",
    )
    relative: bool = Field(
        default=False, description="count losses as shares of the score before, not in points"
    )
    tasks: dict[str, Annotated[Share, Field(gt=0, lt=1)]] = Field(
        default_factory=dict, description="another largest loss for single tasks, by name"
    )
    checks: int = Field(
        default=4, ge=0, description="how often the kept tasks are asked while a stage is trained"
    )
    spread: bool = Field(
        default=True,
        description="give a task's budget out in equal parts over the stages that are to come",
    )
    steer: bool = Field(
        default=True,
        description="let protections grow stronger, and steps shorter, while a task is over budget",
    )
    margin: float = Field(
        default=1.645,
        ge=0,
        description="standard errors of the loss found that a merge stays below the budget; 1.645: "
        "19 times in 20 the true loss is within it, if enough guard items change to show the error",
    )

    def of(self, task: str) -> float:
        """The largest loss of a task, as it is written: points, nats per token or a share."""
        return self.tasks.get(task, self.loss)

    def allowed(self, task: str, before: float) -> float:
        """The largest loss of a task in points or nats per token.

        Args:
            task: Its name.
            before: Its score before; of it a relative budget is a share.
        """
        return self.of(task) * (abs(before) if self.relative else 1.0)
