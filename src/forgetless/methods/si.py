"""Synaptic intelligence: pull each weight back as strongly as it helped to learn earlier tasks.

While a stage trains, each weight's share in the fall of the loss is summed up step by step:
path_i = - sum over steps of g_i * (change of w_i), with g the gradient of the loss before clipping
and pulls.  At its end importance_i grows by max(0, path_i) / ((way of w_i in the stage)^2 +
damping).  Penalty: strength/2 * sum_i importance_i (w_i - a_i)^2, with a the weights as the last
stage left them.

Source: Zenke et al. 2017 (arXiv 1703.04200), equations 4 and 5; their c is strength/2.

Differs: a share below 0 counts as 0, for it would push weights away from where they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from forgetless.methods.base import Method, State
from forgetless.methods.parts.adapters import refuse_adapter
from forgetless.methods.parts.pulls import pull_towards, trained_weights
from forgetless.methods.stage import Stage, Workbench
from forgetless.plan import Config
from forgetless.tasks.examples import Examples

if TYPE_CHECKING:
    import torch

_FACTORS = "importances are of each weight, and an adapter's are factors of a change of weights"


class SIConfig(Config):
    """Options of synaptic intelligence."""

    strength: float = Field(1.0, ge=0, description="factor of the penalty; 0: plain fine-tuning")
    damping: float = Field(
        1e-3,
        gt=0,
        description="added to the squared way of a weight, which its share is divided by",
    )


class SI(Method[SIConfig]):
    """Pull weights back by how much they lowered earlier losses."""

    name = "si"
    Config = SIConfig
    excludes_sharding = ""
    needs_last_step = "it weighs what the steps did for the loss"
    excludes = {  # noqa: RUF012 - declared once, never changed
        "joint": "joint training has every old row already",
        "ogd": "it changes the update after its share in the fall of the loss was counted",
        "lora": _FACTORS,
        "olora": _FACTORS,
        "osf": "it changes the update after its share in the fall of the loss was counted",
    }

    def __init__(self, config: SIConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        self._importances: dict[str, torch.Tensor] = {}
        self._paths: dict[str, torch.Tensor] = {}
        self._anchors: dict[str, torch.Tensor] = {}
        self._gradients: dict[str, torch.Tensor] = {}
        self._before: dict[str, torch.Tensor] = {}
        self.learns_from_model = self.config.strength > 0

    @property
    def must_train(self) -> bool:
        """What a weight did for the loss shows only while it is trained."""
        return self.config.strength > 0

    def acts_in(self, stage: Stage) -> bool:
        """Where something was learned before; in the first stage it only watches."""
        return self.config.strength > 0 and stage.number > 1

    def refuse_model(self, model: Any) -> None:
        """Refuse a model with an adapter."""
        if self.config.strength > 0:
            refuse_adapter(model, f"si: {_FACTORS}")

    def start_stage(self, bench: Workbench, examples: Examples) -> None:
        """Take the model as the last stage left it; begin the paths."""
        import torch

        if self.config.strength == 0:
            return
        weights = trained_weights(bench.model)
        self._anchors = {name: weight.detach().clone() for name, weight in weights.items()}
        self._paths = {
            name: torch.zeros_like(weight, dtype=torch.float32) for name, weight in weights.items()
        }
        self._gradients = {name: torch.empty_like(weight) for name, weight in weights.items()}
        self._before = {name: torch.empty_like(weight) for name, weight in weights.items()}

    def beside_weights(self) -> Sequence[dict[str, torch.Tensor]]:
        """All that is known of each weight."""
        return [self._anchors, self._importances, self._paths, self._gradients, self._before]

    def change_gradient(self, model: Any) -> None:
        """Remember the gradient of the loss, and the weights that it is taken at."""
        import torch

        with torch.no_grad():
            for name, weight in self._watched(model):
                self._before[name].copy_(weight)
                if weight.grad is None:
                    self._gradients[name].zero_()
                else:
                    self._gradients[name].copy_(weight.grad)

    def pull(self, model: Any) -> float:
        """Add strength * importance * (w - a) to the gradient."""
        return pull_towards(model, self.config.strength, self._anchors, self._importances)

    def before_step(self, model: Any) -> None:
        """All was remembered with the gradient."""

    def after_step(self, model: Any) -> None:
        """Add each weight's share in the fall of the loss to its path."""
        import torch

        with torch.no_grad():
            for name, weight in self._watched(model):
                back = self._before[name].sub_(weight)  # minus the change of the weight
                path = self._paths[name] = self._paths[name].to(weight.device)
                path.addcmul_(self._gradients[name], back)

    def _watched(self, model: Any) -> Iterator[tuple[str, torch.nn.Parameter]]:
        return ((name, p) for name, p in model.named_parameters() if name in self._paths)

    def let_go(self) -> None:
        """Drop what a step remembers; the paths are needed until the stage is learned from."""
        self._gradients, self._before = {}, {}

    def end_stage(self, bench: Workbench) -> None:
        """Add the importances of what the stage taught."""
        weights = trained_weights(bench.model)
        for name, path in self._paths.items():
            way = weights[name].detach().float() - self._anchors[name]
            new = path.to(way.device).clamp(min=0) / way.square().add_(self.config.damping)
            old = self._importances.get(name)
            self._importances[name] = new if old is None else old.to(new.device) + new
        self._paths, self._anchors = {}, {}

    def state(self) -> State:
        """The importances, and in the middle of a stage the paths."""
        return State(
            {f"importance/{name}": value for name, value in self._importances.items()}
            | {f"path/{name}": value for name, value in self._paths.items()}
        )

    def restore(self, state: State) -> None:
        """Take them back."""
        self._importances = state.part("importance")
        self._paths = state.part("path")
