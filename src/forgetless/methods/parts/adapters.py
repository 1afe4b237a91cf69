"""Low-rank adapters of peft: put on a model, laid beside one another, joined along the rank.

An adapter with factors A (rank, inputs) and B (outputs, rank) and scale s changes the weight of a
layer by s * B A.  Two of the same scale are one of their summed rank: A = [A1; A2], B = [B1, B2].
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import Field

from forgetless.errors import ModelError
from forgetless.models.quiet import quiet
from forgetless.plan import Config

if TYPE_CHECKING:
    import torch

ADAPTER = "default"  # the one that peft writes at the top of a folder, and loads from there


class AdapterConfig(Config):
    """Options of every method that trains a low-rank adapter."""

    rank: int = Field(16, ge=1, le=8192, description="rank of the change of each layer")
    alpha: int = Field(32, ge=1, description="the change is scaled by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the adapter")
    targets: str | list[str] = Field(
        "all-linear", description="names of the modules adapted, or all-linear"
    )


def refuse_adapter(model: Any, reason: str) -> None:
    """Refuse a model that has an adapter already, for a method that needs the model's own weights.

    Raises:
        ModelError: with the reason, where it has one.
    """
    import peft

    if isinstance(model, peft.PeftModel):
        raise ModelError(
            f"{reason}, and the model has an adapter",
            fix="merge it first:  model = model.merge_and_unload()",
        )


def put_on(model: Any, method: str, options: AdapterConfig, **special: Any) -> Any:
    """The model with a new adapter.

    Args:
        model: A transformers model.
        method: The method that asks, for messages.
        options: Size and place of the adapter.
        special: Further arguments of peft's ``LoRAConfig``.

    Raises:
        ModelError: if the model has no such modules, or they cannot start in the way asked for.
    """
    import peft

    config = peft.LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=options.targets,
        task_type="CAUSAL_LM",
        **special,
    )
    try:
        with quiet():
            adapted = peft.get_peft_model(model, config)
    except ValueError as error:
        raise ModelError(
            f"{method} cannot be put on {type(model).__name__}: {str(error).splitlines()[0]}",
            fix=f"name modules of this model under  {method}: {{targets: [...]}}",
        ) from error
    config.init_lora_weights = True  # loading what a stage saves starts nothing by itself
    return adapted.eval()


def lay_beside(model: Any, adapter: str, options: AdapterConfig) -> None:
    """Add a second adapter, active like the first."""
    config = copy.deepcopy(model.peft_config[ADAPTER])
    config.r, config.lora_alpha = options.rank, options.alpha
    with quiet():
        model.add_adapter(adapter, config)
    model.base_model.set_adapter([ADAPTER, adapter])
    model.eval()


def linear_layers(model: Any) -> list[Any]:
    """Every layer that has an adapter.

    Raises:
        ModelError: if one of them is not linear.
    """
    from peft.tuners.lora import LoraLayer

    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    for layer in layers:
        if not layer.lora_A:
            raise ModelError(
                "targets names a module that is not linear, but "
                f"{type(layer.get_base_layer()).__name__}: its adapter cannot be joined to another",
                fix="leave it out of  targets: [...]",
            )
    return layers


def factors(layer: Any, adapter: str = ADAPTER) -> tuple[torch.Tensor, torch.Tensor]:
    """A, shape (rank, inputs), and B, shape (outputs, rank), of a layer, detached."""
    return layer.lora_A[adapter].weight.detach(), layer.lora_B[adapter].weight.detach()


def set_factors(layer: Any, adapter: str, a: torch.Tensor, b: torch.Tensor) -> None:
    """Give a layer's adapter other factors, perhaps of another rank."""
    import torch

    for part, value in ((layer.lora_A[adapter], a), (layer.lora_B[adapter], b)):
        own = value.to(part.weight).clone(memory_format=torch.contiguous_format)
        part.weight = torch.nn.Parameter(own)
    layer.lora_A[adapter].out_features = layer.lora_B[adapter].in_features = len(a)
    layer.r[adapter] = len(a)


@contextmanager
def weights_of_their_own(layers: Sequence[Any]) -> Iterator[list[torch.nn.Parameter]]:
    """The weights of adapted layers, each meanwhile a parameter of its layer alone, not trained.

    A head that shares its weight with the embeddings would get their gradient as well, and the
    adapter changes the head only.

    Args:
        layers: Those below the adapters, which hold the weights.
    """
    import torch

    weights = [layer.weight for layer in layers]
    try:
        for layer, weight in zip(layers, weights, strict=True):
            layer.weight = torch.nn.Parameter(weight.detach(), requires_grad=False)
        yield [layer.weight for layer in layers]
    finally:
        for layer, weight in zip(layers, weights, strict=True):
            layer.weight = weight


def freeze(layers: Sequence[Any], adapter: str) -> None:
    """Leave an adapter as it is from here on: not trained, and never without its dropped inputs."""
    import torch

    for layer in layers:
        layer.lora_A[adapter].requires_grad_(False)
        layer.lora_B[adapter].requires_grad_(False)
        layer.lora_dropout[adapter] = torch.nn.Identity().eval()


def join(model: Any, adapter: str, options: AdapterConfig) -> None:
    """Turn the first adapter and a second into one; the outputs stay as they are to rounding.

    Args:
        model: Has the adapters ``default`` and ``adapter``, at one scale.
        adapter: The second, which is there no more afterwards.
        options: What each part of them was put on with.
    """
    import torch

    layers, config = linear_layers(model), model.peft_config[ADAPTER]
    config.r = layers[0].r[ADAPTER] + layers[0].r[adapter]
    parts = config.r // options.rank
    config.lora_alpha = options.alpha * (math.sqrt(parts) if config.use_rslora else parts)
    # The scale of each part, worked out as peft does it from what is saved.
    scale = config.lora_alpha / (math.sqrt(config.r) if config.use_rslora else config.r)
    for layer in layers:
        (a1, b1), (a2, b2) = factors(layer), factors(layer, adapter)
        set_factors(layer, ADAPTER, torch.cat([a1, a2]), torch.cat([b1, b2], dim=1))
        layer.lora_alpha[ADAPTER], layer.scaling[ADAPTER] = config.lora_alpha, scale
    model.delete_adapter(adapter)
    model.set_adapter(ADAPTER)
