"""Weights in blocks: quicker passes on a CPU through a model that is not trained meanwhile.

A product of matrices first lays its weights out as the processor's registers want them.  With the
few rows of one step of generation that adds about half to the product's time, and a step is taken
for every token; so it is done once, by oneDNN, and kept beside the weights.  Values are those of
the layers themselves, within rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

LEAST = 1 << 24  # bytes of weights; fewer stay in the processor's caches
MOST = 1 << 31  # bytes of weights, as many as are taken for the blocks


@contextmanager
def weights_in_blocks(model: Any) -> Iterator[None]:
    """Let the linear layers of a model multiply by weights in blocks; they must not change.

    Left as they are: layers that are not of float32 on a CPU, quantised, in parts, or hooked; all,
    where the model is small, or so large that a second copy would be felt.  A layer with gradients
    or autocast enabled multiplies by its own weights, in this block too.
    """
    import torch

    layers = [module for module in model.modules() if _can_be_in_blocks(module)]
    if not LEAST <= sum(4 * layer.weight.numel() for layer in layers) <= MOST:
        layers = []
    try:
        for layer in layers:
            blocks = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), None)
            layer.forward = partial(_product, layer, blocks)
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def _can_be_in_blocks(module: Any) -> bool:
    import torch

    return (
        type(module) is torch.nn.Linear
        and type(module.weight) is torch.nn.Parameter
        and module.weight.dtype == torch.float32
        and module.weight.device.type == "cpu"
        and "forward" not in vars(module)
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        # what torch's own compiler calls; it has no public name
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _product(layer: Any, blocks: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    import torch

    if torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        plain: torch.Tensor = torch.nn.Linear.forward(layer, inputs)
        return plain
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
        inputs, blocks, layer.bias, "none", [], ""
    )
    return product
