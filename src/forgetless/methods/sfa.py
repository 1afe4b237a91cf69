"""Sequential fine-tuning with averaging: go part of the way back to the stage's start, repeatedly.

After each ``interval`` of the stage's steps, and at its end,

    weights <- (1 - weight) * weights + weight * weights at the stage's start,

and training goes on from there, the optimiser's state as it is.  An end that comes less than half
an interval after an average takes its place: two in a row would go back twice.

Source: Kleiman et al. 2025 (arXiv 2501.05559): theta <- (1 - beta) theta* + beta theta_o after
every p T of T steps and at the end; theta_o is what the training on the task before left.
Differs: a remainder of less than p T / 2 belongs to the interval before it; and the first stage
goes back towards the untouched model, which has abilities to keep, too.
Of an adapter, A and B go back apart, because the optimiser's state belongs to them; the change B A
is then off the average of the products by weight * (1 - weight) * (B - B_start) (A - A_start).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from forgetless.methods.base import Method, State
from forgetless.methods.parts.pulls import trained_weights
from forgetless.methods.parts.reference import trained_values
from forgetless.methods.stage import Stage, Workbench
from forgetless.models.sharded import local
from forgetless.plan import Config
from forgetless.tasks.examples import Examples

if TYPE_CHECKING:
    import torch


class SFAConfig(Config):
    """Options of averaging with the stage's start."""

    weight: float = Field(
        0.5, ge=0, lt=1, description="share of the stage's start in each average; 0: no averaging"
    )
    interval: float = Field(
        0.25, gt=0, le=1, description="share of the stage's steps between two averages"
    )


class SFA(Method[SFAConfig]):
    """Average weights with those at the stage's start, repeatedly."""

    name = "sfa"
    Config = SFAConfig
    excludes_sharding = ""
    needs_last_step = "it leaves an average over the steps"
    excludes = {  # noqa: RUF012 - declared once, never changed
        "si": "it weighs the way that training went, and an average goes another",
    }

    def __init__(self, config: SFAConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        self._start: dict[str, torch.Tensor] = {}
        self._planned = 0
        self._steps = 0

    def acts_in(self, stage: Stage) -> bool:
        """Unless the past has no weight."""
        return self.config.weight > 0

    def start_stage(self, bench: Workbench, examples: Examples) -> None:
        """Keep the weights to return to."""
        assert bench.steps > 0, "an interval is a share of the steps"
        self._steps, self._planned = 0, bench.steps
        if self.config.weight > 0:
            self._start = trained_values(bench.model)

    def beside_weights(self) -> Sequence[dict[str, torch.Tensor]]:
        """The weights to return to."""
        return [self._start]

    def before_step(self, model: Any) -> None:
        """Nothing."""

    def after_step(self, model: Any) -> None:
        """Average where an interval ends."""
        self._steps += 1
        if self._ends_interval():
            self._return(model)

    def settle(self, bench: Workbench) -> None:
        """Average at the end, unless the last step has done so."""
        if not self._ends_interval():
            self._return(bench.model)
        self._start = {}

    def _ends_interval(self) -> bool:
        """Whether an average is due after the last step."""
        return self._due(self._steps) > self._due(self._steps - 1)

    def _due(self, step: int) -> int:
        """How many averages are due by the end of a step."""
        share = self.config.interval
        intervals = math.floor(1 / share + 0.5)  # a last one of less than half is not its own
        if step >= self._planned:
            return intervals
        return min(intervals - 1, math.floor(step / (share * self._planned) + 1e-9))

    def _return(self, model: Any) -> None:
        """Move the weights in place."""
        import torch

        if self._start:
            trained = trained_weights(model)
            weights = [local(weight.detach()) for weight in trained.values()]
            start = [local(self._start[name]) for name in trained]
            torch._foreach_lerp_(weights, start, self.config.weight)

    def state(self) -> State:
        """The steps taken; the start is what the stage before left."""
        return State(values={"steps": self._steps})

    def restore(self, state: State) -> None:
        """Take the count back."""
        self._steps = int(state.values["steps"])
