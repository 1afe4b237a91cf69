"""L2-SP: pull all weights back to where they started.

Penalty: strength/2 * sum_i (w_i - a_i)^2 with a the model at the stage's start, or the untouched
model.  With low-rank adapters it is on the product s B A of each adapted layer, not on A and B
apart.

Source: Li et al. 2018 (arXiv 1802.01483), equation 3.

Differs: the head is no exception, for a language model goes on with the one it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from forgetless.methods.base import Method, State
from forgetless.methods.parts.pulls import (
    Product,
    anchors_now,
    pull_products,
    pull_towards,
    trained_products,
)
from forgetless.methods.stage import Stage, Workbench
from forgetless.plan import Config
from forgetless.tasks.examples import Examples

if TYPE_CHECKING:
    import torch


class L2SPConfig(Config):
    """Options of L2-SP."""

    strength: float = Field(0.01, ge=0, description="factor of the penalty; 0: plain fine-tuning")
    anchor: Literal["previous", "base"] = Field(
        "previous",
        description="where weights are pulled: to the model at the stage's start (previous), or to "
        "the untouched model (base)",
    )


class L2SP(Method[L2SPConfig]):
    """Pull all weights back to where they started."""

    name = "l2sp"
    Config = L2SPConfig
    excludes_sharding = ""
    heeds_emphasis = True

    def __init__(self, config: L2SPConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        self._anchors: dict[str, torch.Tensor] = {}
        self._former: dict[str, Product] = {}

    @property
    def must_train(self) -> bool:
        """The untouched model is seen at the start of the first stage only."""
        return self.config.strength > 0 and self.config.anchor == "base"

    def acts_in(self, stage: Stage) -> bool:
        """Always, from the first stage."""
        return self.config.strength > 0

    def refuse_model(self, model: Any) -> None:
        """Refuse adapters without a product that could be held where it was."""
        if self.config.strength > 0:
            trained_products(model)

    def start_stage(self, bench: Workbench, examples: Examples) -> None:
        """Take the model as it starts."""
        if self.config.strength == 0:
            return
        anchors, former = anchors_now(bench.model, trained_products(bench.model))
        if self.config.anchor == "base":
            # What is trained for the first time is still as in the untouched model.
            anchors, former = anchors | self._anchors, former | self._former
        self._anchors, self._former = anchors, former

    def beside_weights(self) -> Sequence[dict[str, torch.Tensor]]:
        """The weights pulled to."""
        return [self._anchors]

    def pull(self, model: Any) -> float:
        """Add strength * (w - a) to the gradient."""
        strength = self.emphasis * self.config.strength
        products = trained_products(model) if self._former else {}
        return pull_towards(model, strength, self._anchors) + pull_products(
            products, strength, self._former
        )

    def let_go(self) -> None:
        """Drop the weights pulled to, unless they are those of all stages."""
        if self.config.anchor == "previous":
            self._anchors, self._former = {}, {}

    def state(self) -> State:
        """The untouched weights, where they are the anchor."""
        if self.config.anchor == "previous":
            return State()
        return State(
            {f"anchor/{name}": weight for name, weight in self._anchors.items()}
            | {f"a/{name}": product.a for name, product in self._former.items()}
            | {f"b/{name}": product.b for name, product in self._former.items()},
            {name: [product.scale, product.transposed] for name, product in self._former.items()},
        )

    def restore(self, state: State) -> None:
        """Take them back."""
        if self.config.anchor == "base":
            self._anchors = state.part("anchor")
            a, b = state.part("a"), state.part("b")
            self._former = {n: Product(a[n], b[n], *more) for n, more in state.values.items()}
