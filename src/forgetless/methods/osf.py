"""Orthogonal subspace fine-tuning: what a weight does most stays; the rest of it may be trained.

At the start of every stage each weight is decomposed, W = U S V^T, and the share of the directions
with the largest singular values is protected.  After every step of the optimiser the weight is put
back to where

    U_p^T W = S_p V_p^T   and   W V_p = U_p S_p,

so that the stage's change D of the weight satisfies U_p^T D = 0 and D V_p = 0, whatever the
optimiser made of the gradient: momentum, weight decay, pulls of other methods.  Nothing else of the
model is trained.

Source: Nayak et al. 2025 (arXiv 2504.07097), section 3.

Differs: the weight itself is trained, not factors of its unprotected part.  The reachable weights
are the same, the forward pass costs nothing more, and the model is a plain one at any moment.  The
share is the same for all layers; the paper makes it depend on how much a layer changes its input.
peft's OSF projects the gradient of the factors, which Adam turns into steps that leave the allowed
subspace, and forgets the stage when it is unloaded.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field

from forgetless.errors import ModelError
from forgetless.methods.base import Method
from forgetless.methods.parts.adapters import refuse_adapter
from forgetless.methods.stage import Workbench
from forgetless.plan import Config
from forgetless.tasks.examples import Examples

if TYPE_CHECKING:
    import torch


class Protected(NamedTuple):
    """The protected part of a weight, k directions, float32.

    Attributes:
        left: U_p, shape (outputs, k).
        values: S_p, shape (k,).
        right: V_p^T, shape (k, inputs).
    """

    left: torch.Tensor
    values: torch.Tensor
    right: torch.Tensor


class OSFConfig(Config):
    """Options of orthogonal subspace fine-tuning."""

    share: float = Field(
        0.5, gt=0, lt=1, description="share of each weight's singular directions that is protected"
    )
    growth: float = Field(
        0.0, ge=0, lt=1, description="how much more is protected in every further stage"
    )
    targets: Literal["all-linear"] | list[str] = Field(
        "all-linear", description="names of the linear modules trained, or all-linear"
    )


class OSF(Method[OSFConfig]):
    """Train linear layers but for their top singular directions."""

    name = "osf"
    Config = OSFConfig
    excludes_sharding = "after every step it projects weights as whole matrices"
    excludes = {  # noqa: RUF012 - declared once, never changed
        "freeze": "osf decides itself what is trained: its targets and nothing else",
    }

    def __init__(self, config: OSFConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        self._protected: dict[str, Protected] = {}

    def adapt(self, bench: Workbench) -> None:
        """Freeze all but the weights of the targets."""
        refuse_adapter(bench.model, "osf trains the model's own weights")
        trained = {id(module.weight) for module in self._linear(bench.model)}
        for parameter in bench.model.parameters():
            parameter.requires_grad_(parameter.requires_grad and id(parameter) in trained)
        if not any(parameter.requires_grad for parameter in bench.model.parameters()):
            raise ModelError(
                f"osf finds nothing to train in {type(bench.model).__name__}",
                fix="name linear modules that are not frozen under  osf: {targets: [...]}",
            )

    def _linear(self, model: Any) -> list[Any]:
        """The linear modules that are trained."""
        import torch
        from transformers.pytorch_utils import Conv1D

        targets, head = self.config.targets, model.get_output_embeddings()
        linear = {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
        }
        if targets == "all-linear":
            return list(linear.values())
        for target in targets:
            if not any(f".{name}".endswith(f".{target}") for name in linear):
                kinds = sorted({name.rpartition(".")[2] for name in linear})
                near = difflib.get_close_matches(target, kinds) or kinds
                raise ModelError(
                    f"osf: {type(model).__name__} has no linear module named {target!r}",
                    fix=f"there are {', '.join(near)}",
                )
        ends = tuple(f".{target}" for target in targets)
        return [module for name, module in linear.items() if f".{name}".endswith(ends)]

    def start_stage(self, bench: Workbench, examples: Examples) -> None:
        """Decompose every weight as the last stage left it."""
        import torch

        del examples
        share = self.config.share + self.config.growth * (bench.stage.number - 1)
        self._protected = {}
        for name, parameter in bench.model.named_parameters():
            if parameter.requires_grad:
                most = min(parameter.shape)
                k = min(round(share * most), most - 1)
                weight = parameter.detach()
                exact = (weight if weight.is_cuda else weight.cpu()).double()
                u, values, vh = torch.linalg.svd(exact, full_matrices=False)
                parts = (u[:, :k], values[:k], vh[:k])
                self._protected[name] = Protected(
                    *(part.to(weight.device, torch.float32).contiguous() for part in parts)
                )

    def before_step(self, model: Any) -> None:
        """Nothing: the optimiser may do what it likes."""

    def after_step(self, model: Any) -> None:
        """Put the protected part of every weight back."""
        import torch

        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in self._protected:
                    left, values, right = self._protected[name]
                    weight = parameter.float()  # the parameter itself where it is float32
                    change = torch.addmm(values[:, None] * right, left.T, weight, beta=-1)
                    weight.addmm_(left, change, alpha=-1)
                    change = torch.addmm(left * values, weight, right.T, beta=-1)
                    weight.addmm_(change, right, alpha=-1)
                    if weight is not parameter:
                        parameter.copy_(weight)

    def let_go(self) -> None:
        """Drop the protected parts: the next stage has others."""
        self._protected = {}
