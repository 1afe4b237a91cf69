"""Exponential moving average: a stage leaves the average of the weights it went through.

After every ``every`` optimiser steps, and at the end,

    average <- d * average + (1 - d) * weights,

beginning with the weights at the stage's start; the training itself goes on as without.  At the
n-th update d is the decay, or with ``warmup`` the smaller of it and (1 + n) / (10 + n), so that a
short stage does not end near where it began.

Source: Polyak and Juditsky 1992; Tarvainen and Valpola 2017 (arXiv 1703.01780), section 2,
whose teacher is this average.
Differs: of an adapter, A and B are averaged apart, as is usual; the average of the products B A
differs from it by how far A and B move together while they are averaged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from forgetless.methods.base import Method, State
from forgetless.methods.parts.pulls import trained_weights
from forgetless.methods.stage import Stage, Workbench
from forgetless.models.sharded import local
from forgetless.plan import Config
from forgetless.tasks.examples import Examples

if TYPE_CHECKING:
    import torch


class EMAConfig(Config):
    """Options of the moving average."""

    decay: float = Field(
        0.99, ge=0, lt=1, description="share of the average that an update leaves; 0: no averaging"
    )
    every: int = Field(1, ge=1, description="optimiser steps between updates of the average")
    warmup: bool = Field(
        True, description="let the n-th update leave at most (1 + n) / (10 + n) of the average"
    )


class EMA(Method[EMAConfig]):
    """Leave the moving average of the weights while training."""

    name = "ema"
    Config = EMAConfig
    excludes_sharding = ""
    needs_last_step = "it leaves an average over the steps"
    excludes = {  # noqa: RUF012 - declared once, never changed
        "si": "it weighs the way that training went, and an average lies beside it",
    }

    def __init__(self, config: EMAConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        self._average: dict[str, torch.Tensor] = {}  # float32, whatever the weights are
        self._steps = 0

    def acts_in(self, stage: Stage) -> bool:
        """Unless the average is the weights themselves."""
        return self.config.decay > 0

    def start_stage(self, bench: Workbench, examples: Examples) -> None:
        """Begin the average with the stage's start."""
        import torch

        self._steps = 0
        if self.config.decay > 0:
            self._average = {
                name: p.detach().to(torch.float32, copy=True)
                for name, p in trained_weights(bench.model).items()
            }

    def beside_weights(self) -> Sequence[dict[str, torch.Tensor]]:
        """The average."""
        return [self._average]

    def before_step(self, model: Any) -> None:
        """Take in what the step before left, once every method has done its part in it."""
        updates, more = divmod(self._steps, self.config.every)
        if updates and not more:
            self._update(model, updates)

    def after_step(self, model: Any) -> None:
        """Count the step."""
        self._steps += 1

    def settle(self, bench: Workbench) -> None:
        """Take in the last step, and put the average in the place of the weights."""
        import torch

        if self._steps:
            self._update(bench.model, math.ceil(self._steps / self.config.every))
        with torch.no_grad():
            for name, average in self._average.items():
                bench.model.get_parameter(name).copy_(average)
        self._average = {}

    def _update(self, model: Any, number: int) -> None:
        """Average the weights in, as the so-manieth update of the stage."""
        import torch

        if not self._average:
            return
        decay = self.config.decay
        if self.config.warmup:
            decay = min(decay, (1 + number) / (10 + number))
        parameters = trained_weights(model)
        averages = [local(self._average[name]) for name in parameters]
        weights = [local(p.detach()) for p in parameters.values()]
        if all(weight.dtype == torch.float32 for weight in weights):
            torch._foreach_lerp_(averages, weights, 1 - decay)
        else:  # one after another: no second model in float32
            for average, weight in zip(averages, weights, strict=True):
                average.lerp_(weight.float(), 1 - decay)

    def state(self) -> State:
        """Within a stage the average; the steps taken."""
        return State(dict(self._average), {"steps": self._steps})

    def restore(self, state: State) -> None:
        """Take the average back, to where :meth:`start_stage` put it."""
        self._average = {
            name: tensor.to(self._average.get(name, tensor).device)
            for name, tensor in state.tensors.items()
        }
        self._steps = int(state.values["steps"])
