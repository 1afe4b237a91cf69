"""O-LoRA: an adapter for every stage, its inputs kept orthogonal to those of all earlier adapters.

Stage t trains factors A_t and B_t beside those of the earlier stages, which stay frozen and active.
To the loss is added

    strength * sum over layers and earlier stages i of |A_i A_t^T|^2   (Frobenius norm),

so that what the new adapter reads from a layer's input is not what an earlier one reads.  At the
end of the stage all become one adapter of rank t * rank, A = [A_1; ...; A_t], B = [B_1, ..., B_t],
whose first rows and columns are those of the stage before, bit for bit.

Source: Wang et al. 2023 (arXiv 2310.14152), equations 6 to 8.  It is not ``lora: {init: olora}``,
which is a way to start one adapter.

Differs: the penalty's gradient is added after clipping, once per step.  The authors' code sums the
absolute values of the entries, whose gradient does not fade near 0, and knows a second penalty on
the size of the new factors, off by default; weight decay does that here.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from forgetless.methods.base import Method
from forgetless.methods.parts.adapters import (
    ADAPTER,
    AdapterConfig,
    factors,
    freeze,
    join,
    lay_beside,
    linear_layers,
    put_on,
)
from forgetless.methods.stage import Workbench
from forgetless.models.sharded import laid_out_like, whole

NEW = "new"  # the adapter that a stage after the first trains


class OLoRAConfig(AdapterConfig):
    """Options of O-LoRA."""

    rank: int = Field(8, ge=1, le=8192, description="rank of each stage's change of each layer")
    alpha: int = Field(16, ge=1, description="the change is scaled by alpha / rank")
    strength: float = Field(
        0.5, ge=0, description="how strongly a new adapter is kept orthogonal to the earlier ones"
    )


class OLoRA(Method[OLoRAConfig]):
    """Train one adapter per stage, orthogonal to all before it."""

    name = "olora"
    Config = OLoRAConfig
    excludes_sharding = ""
    excludes = {  # noqa: RUF012 - declared once, never changed
        "osf": "osf trains the weights that an adapter leaves alone",
        "freeze": "an adapter freezes all weights of the model",
        "ewc": "what earlier stages learned is frozen here, so there is nothing to hold",
    }
    puts_adapter_on = True
    only_in_runs = "every stage needs an adapter of its own, put on before the trainer is made"

    def adapt(self, bench: Workbench) -> None:
        """Put on the first adapter, or one more beside the frozen ones of earlier stages."""
        import peft

        if not isinstance(bench.model, peft.PeftModel):
            bench.model = put_on(bench.model, self.name, self.config)
            linear_layers(bench.model)  # refuses what the next stage could not join
        elif not bench.dry:
            lay_beside(bench.model, NEW, self.config)
            freeze(linear_layers(bench.model), ADAPTER)

    def pull(self, model: Any) -> float:
        """Add the gradient of the penalty to that of every new A."""
        import torch

        strength = self.config.strength
        if strength == 0 or NEW not in model.peft_config:
            return 0.0
        squares = []
        for layer in linear_layers(model):
            earlier, new = whole(factors(layer)[0]), layer.lora_A[NEW].weight
            overlap = whole(new.detach()) @ earlier.T  # shape (rank, rank of all earlier ones)
            pull = (2 * strength) * overlap @ earlier
            squares.append(torch.linalg.vector_norm(pull, dtype=torch.float32).square())
            pull = laid_out_like(new, pull)
            new.grad = pull if new.grad is None else new.grad.add_(pull)
        return float(torch.stack(squares).sum())

    def settle(self, bench: Workbench) -> None:
        """Make the earlier adapters and the new one a single adapter."""
        if NEW in bench.model.peft_config:
            join(bench.model, NEW, self.config)
