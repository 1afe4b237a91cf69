"""Small methods for the phases that few shipped methods use, written as any method is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field

from forgetless.methods.base import Method, State
from forgetless.methods.batch import Batch
from forgetless.methods.parts.pulls import pull_towards
from forgetless.methods.stage import RehearsalRows, Stage, Workbench
from forgetless.plan import Config
from forgetless.tasks.examples import Examples


class StrengthConfig(Config):
    """How strongly a probe acts."""

    strength: float = Field(0.5, ge=0, description="0: not at all")


class Anchor(Method[StrengthConfig]):
    """Penalty: pull weights to where the last stage left them, some more than others."""

    name = "anchor"
    Config = StrengthConfig

    def __init__(self, config: StrengthConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        self.anchors: dict[str, torch.Tensor] = {}
        self.importances: dict[str, torch.Tensor] = {}

    def pull(self, model: Any) -> float:
        return pull_towards(model, self.config.strength, self.anchors, self.importances)

    def end_stage(self, bench: Workbench) -> None:
        self.anchors = _trained(bench.model)
        self.importances = {name: value.abs() * 10 for name, value in self.anchors.items()}

    def state(self) -> State:
        return State({f"anchor/{name}": value for name, value in self.anchors.items()})

    def restore(self, state: State) -> None:
        self.anchors = {name.removeprefix("anchor/"): t for name, t in state.tensors.items()}
        self.importances = {name: value.abs() * 10 for name, value in self.anchors.items()}


class Calm(Method[StrengthConfig]):
    """Loss: square of the log-partition at every learned token."""

    name = "calm"
    Config = StrengthConfig

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        squares = batch.logits.float().logsumexp(-1).square()
        return self.config.strength * squares[batch.targets != -100].sum() / batch.learned_tokens


class Project(Method[StrengthConfig]):
    """Gradient: take out what points along the weights that the last stage left."""

    name = "project"
    Config = StrengthConfig

    def __init__(self, config: StrengthConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        self._direction: dict[str, torch.Tensor] = {}

    def change_gradient(self, model: Any) -> None:
        parameters = {n: p for n, p in model.named_parameters() if n in self._direction}
        along = sum(
            (float((p.grad * self._direction[n]).sum()) for n, p in parameters.items()), start=0.0
        )
        for name, parameter in parameters.items():
            parameter.grad -= self.config.strength * along * self._direction[name]

    def end_stage(self, bench: Workbench) -> None:
        trained = _trained(bench.model)
        length = sum(float(value.square().sum()) for value in trained.values()) ** 0.5
        self._direction = {name: value / length for name, value in trained.items()}

    def state(self) -> State:
        return State(dict(self._direction))

    def restore(self, state: State) -> None:
        self._direction = dict(state.tensors)


class Slow(Method[StrengthConfig]):
    """Update: after each step, draw the weights towards their running average."""

    name = "slow"
    Config = StrengthConfig

    def __init__(self, config: StrengthConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        self._average: dict[str, torch.Tensor] = {}
        self._steps = 0

    def before_step(self, model: Any) -> None:
        self._average = self._average or _trained(model)

    def after_step(self, model: Any) -> None:
        self._steps += 1
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in self._average:
                    self._average[name].lerp_(parameter, 0.1)
                    parameter.lerp_(self._average[name], self.config.strength)

    def state(self) -> State:
        return State(dict(self._average), {"steps": self._steps})

    def restore(self, state: State) -> None:
        self._average = dict(state.tensors)
        self._steps = int(state.values["steps"])


class NoConfig(Config):
    """No options."""


class Recorder(Method[NoConfig]):
    """Every phase: write down that it was called."""

    name = "recorder"
    Config = NoConfig

    def __init__(self) -> None:
        super().__init__(NoConfig())
        self.calls: list[str] = []

    def stages(self, stages: Sequence[Stage]) -> list[Stage]:
        self.calls.append("PlansStages")
        return list(stages)

    def adapt(self, bench: Workbench) -> None:
        self.calls.append("AdaptsModel")

    def rehearsal(self, bench: Workbench) -> Sequence[RehearsalRows]:
        self.calls.append("MixesData")
        return []

    def start_stage(self, bench: Workbench, examples: Examples) -> None:
        self.calls.append("LooksAhead")

    def weigh(self, batch: Batch) -> torch.Tensor:
        self.calls.append("WeighsTokens")
        return torch.ones(batch.targets.shape)

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        self.calls.append("AddsLoss")
        return torch.zeros(())

    def change_gradient(self, model: Any) -> None:
        self.calls.append("ChangesGradient")

    def pull(self, model: Any) -> float:
        self.calls.append("PullsWeights")
        return 0.0

    def before_step(self, model: Any) -> None:
        self.calls.append("ChangesUpdate")

    def after_step(self, model: Any) -> None:
        self.calls.append("ChangesUpdate")

    def settle(self, bench: Workbench) -> None:
        self.calls.append("SettlesModel")

    def keep_rows(self, stage: Stage) -> None:
        self.calls.append("KeepsRows")

    def end_stage(self, bench: Workbench) -> None:
        self.calls.append("LearnsAtEnd")


def _trained(model: Any) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


PROBES: dict[str, type[Method[Any]]] = {kind.name: kind for kind in (Anchor, Calm, Project, Slow)}
