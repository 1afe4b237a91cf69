"""Elastic weight consolidation: pull each weight back as strongly as earlier tasks need it.

Penalty: strength/2 * sum_i F_i (w_i - a_i)^2 with F the diagonal Fisher information of what was
learned before and a the weights that were learned.  F comes from a pass of its own at the end of
each stage (``forgetless.methods.parts.fisher``), and after stage t is

* online: F = decay * F_before + F_t, and a is the model as the last stage left it;
* separate: one F_t and a_t for each stage; their sum of penalties is, but for a constant, one
  penalty with F = sum_t F_t and a = sum_t F_t a_t / F, so memory does not grow with the stages.

With low-rank adapters, F and the penalty are on the product s B A of each adapted layer, not on A
and B apart.

Source: Kirkpatrick et al. 2017 (arXiv 1612.00796), equation 3; online with normalised Fishers:
Schwarz et al. 2018 (arXiv 1805.06370), equation 9; one penalty for several: Huszar 2018 (arXiv
1712.03847); drawn answers instead of the data's, which a model that has learned them well hardly
depends on any more: van de Ven 2025 (arXiv 2502.11756); on the product of adapters: arXiv
2602.17559.

Differs: decay reduces only what is older than the last stage.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from forgetless.errors import ModelError
from forgetless.methods.base import Method, State
from forgetless.methods.parts.adapters import weights_of_their_own
from forgetless.methods.parts.fisher import fisher_diagonal
from forgetless.methods.parts.pulls import (
    Product,
    anchors_now,
    pull_products,
    pull_towards,
    trained_products,
    trained_weights,
)
from forgetless.methods.stage import Stage, Workbench
from forgetless.plan import Config
from forgetless.tasks.examples import Examples

if TYPE_CHECKING:
    import torch


class EWCConfig(Config):
    """Options of EWC."""

    strength: float = Field(1.0, ge=0, description="factor of the penalty; 0: plain fine-tuning")
    mode: Literal["online", "separate"] = Field(
        "online",
        description="where weights are pulled: to where the last stage left them (online), or to "
        "where each stage left them, by its own importances (separate)",
    )
    decay: float = Field(
        0.9, gt=0, le=1, description="online: what is left of older importances after each stage"
    )
    samples: int = Field(
        32, ge=1, description="rows of the stage from which importances are estimated, at most"
    )
    fisher: Literal["sampled", "empirical"] = Field(
        "sampled",
        description="whose answers importances are about: drawn from the model (the true Fisher "
        "information), or those of the data",
    )
    normalise: bool = Field(
        True, description="divide each stage's importances by their mean over all weights"
    )


class EWC(Method[EWCConfig]):
    """Pull weights that mattered back to where they were."""

    name = "ewc"
    Config = EWCConfig
    excludes_sharding = ""
    heeds_emphasis = True
    excludes = {  # noqa: RUF012 - declared once, never changed
        "joint": "joint training has every old row already",
        "olora": "every stage has an adapter of its own, and the old ones do not move",
    }
    excludes_quantization = dict.fromkeys(
        ("4bit", "8bit"),
        "it takes the gradient of every weight under the adapter; l2sp does without",
    )
    # Importances are of what was trained, and a finished stage does not show what these froze.
    must_train_beside = frozenset({"freeze", "osf", "ogd"})

    def __init__(self, config: EWCConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        self._importances: dict[str, torch.Tensor] = {}
        self._anchors: dict[str, torch.Tensor] = {}
        self._former: dict[str, Product] = {}
        self.learns_from_model = self.config.strength > 0

    def acts_in(self, stage: Stage) -> bool:
        """Where something was learned before."""
        return self.config.strength > 0 and stage.number > 1

    def refuse_model(self, model: Any) -> None:
        """Refuse adapters without a product to hold where it was, and quantised layers below."""
        if self.config.strength > 0:
            _layers(model, trained_products(model))

    def start_stage(self, bench: Workbench, examples: Examples) -> None:
        """Take the model as the last stage left it."""
        if not self._importances:
            return
        if self.config.mode == "online":
            self._anchors, self._former = anchors_now(bench.model, trained_products(bench.model))

    def beside_weights(self) -> Sequence[dict[str, torch.Tensor]]:
        """The weights pulled to, and how strongly."""
        return [self._anchors, self._importances]

    def pull(self, model: Any) -> float:
        """Add strength * F * (w - a) to the gradient."""
        strength, importances = self.emphasis * self.config.strength, self._importances
        anchors = self._former or self._anchors
        products = trained_products(model) if anchors else {}
        return pull_towards(model, strength, self._anchors, importances) + pull_products(
            products, strength, anchors, importances
        )

    def let_go(self) -> None:
        """Drop the weights pulled to, unless they are learned from every stage."""
        if self.config.mode == "online":
            self._anchors, self._former = {}, {}

    def end_stage(self, bench: Workbench) -> None:
        """Add the importances of what the stage taught."""
        products = trained_products(bench.model)
        weights = trained_weights(bench.model, products)
        with weights_of_their_own(_layers(bench.model, products)) as bases:
            found = self._fisher(bench, weights | dict(zip(products, bases, strict=True)))
        for name, new in found.items():
            old = self._importances.get(name, new.new_zeros(())).to(new.device)
            if self.config.mode == "online":
                self._importances[name] = new.add_(old, alpha=self.config.decay)
            else:
                self._importances[name] = old + new
                share = (new / self._importances[name]).nan_to_num(nan=1.0)
                learned = products[name].dense() if name in products else weights[name].detach()
                former = self._anchors.get(name, learned).to(new)
                self._anchors[name] = former + share * (learned - former)

    def _fisher(
        self, bench: Workbench, weights: dict[str, torch.nn.Parameter]
    ) -> dict[str, torch.Tensor]:
        """The Fisher information of some of the stage's rows."""
        rng = bench.stage.rng("ewc")
        chosen = rng.permutation(len(bench.new))[: self.config.samples]
        sampled = self.config.fisher == "sampled"
        seeds = rng.integers(2**31, size=len(chosen)).tolist() if sampled else []
        examples = [bench.new[index] for index in chosen.tolist()]
        found = fisher_diagonal(bench.model, weights, examples, seeds)
        if self.config.normalise:
            total = math.fsum(float(f.sum()) for f in found.values())
            count = sum(f.numel() for f in found.values())
            for importance in found.values() if total else ():
                importance *= count / total
        return found

    def state(self) -> State:
        """The importances, and with separate anchors their mean."""
        tensors = {f"importance/{name}": value for name, value in self._importances.items()}
        if self.config.mode == "separate":
            tensors |= {f"anchor/{name}": value for name, value in self._anchors.items()}
        return State(tensors)

    def restore(self, state: State) -> None:
        """Take them back."""
        self._importances = state.part("importance")
        if self.config.mode == "separate":
            self._anchors = state.part("anchor")


def _layers(model: Any, names: Collection[str]) -> list[Any]:
    """The layers whose weights have these names.

    Raises:
        ModelError: for one whose weight is quantised, and has no gradient.
    """
    layers = [model.get_submodule(name.removesuffix(".weight")) for name in names]
    for name, layer in zip(names, layers, strict=True):
        if not layer.weight.is_floating_point():
            raise ModelError(
                f"{name}: is stored as {layer.weight.dtype}, and ewc needs the gradient of every "
                "weight",
                fix="load the model without quantisation, or use  l2sp  instead",
            )
    return layers
