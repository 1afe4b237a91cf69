"""Quadratic penalties on weights, as gradients that are added to those of the data.

What a low-rank adapter adds to a layer is s B A: the same change comes from many pairs of A and B,
so the pull is on the product, and reaches A and B by the chain rule.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from forgetless.errors import ModelError
from forgetless.models.sharded import in_parts, laid_out_like, local, whole
from forgetless.processes import add_up

if TYPE_CHECKING:
    import torch


PIECE = {"cpu": 1 << 18, "other": 1 << 24}  # entries at a time: what a cache holds; few kernels


@dataclass(frozen=True)
class Product:
    """What a low-rank adapter adds to the weight of one layer.

    Attributes:
        a: Shape (rank, inputs).
        b: Shape (outputs, rank).
        scale: Factor of B A.
        transposed: Whether the layer keeps its weight as (inputs, outputs).
    """

    a: torch.Tensor
    b: torch.Tensor
    scale: float
    transposed: bool = False

    def dense(self, room: torch.Tensor | None = None) -> torch.Tensor:
        """The change of the weight, in the weight's own shape, detached.

        Args:
            room: Where it is written, shape (outputs, inputs); by default in new memory.
        """
        import torch

        return self.shaped(torch.mm(self.b.detach() * self.scale, self.a.detach(), out=room))

    def shaped(self, matrix: torch.Tensor) -> torch.Tensor:
        """From (outputs, inputs) to the shape of the layer's weight, and back."""
        return matrix.T if self.transposed else matrix

    def whole(self) -> Product:
        """The product with whole factors, in every process."""
        return replace(self, a=whole(self.a), b=whole(self.b))

    def copy(self) -> Product:
        """The product as it stands now."""
        return replace(self, a=self.a.detach().clone(), b=self.b.detach().clone())

    def to(self, device: torch.device) -> Product:
        """The product on a device; itself if it is there."""
        here = self.a.device == device
        return self if here else replace(self, a=self.a.to(device), b=self.b.to(device))


def trained_products(model: Any) -> dict[str, Product]:
    """The products that are trained, by the name of the weight that each is added to.

    Raises:
        ModelError: for an adapter that adds something else than s B A to a linear layer.
    """
    from peft.tuners.lora import LoraLayer
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    found = {}
    layers = [(path, m) for path, m in model.named_modules() if isinstance(m, LoraLayer)]
    layer: Any  # a module as well, which the base class does not say
    for path, layer in layers:
        trained = {name for name, p in layer.named_parameters() if p.requires_grad}
        for adapter in layer.active_adapters:
            own = {name for name in trained if adapter in name.split(".")}
            if not own:
                continue
            plain = own <= {f"lora_A.{adapter}.weight", f"lora_B.{adapter}.weight"}
            linear = isinstance(layer.get_base_layer(), Linear | Conv1D)
            if not (plain and linear) or adapter in layer.lora_variant:
                raise ModelError(
                    f"{path}: its adapter does not just add a product of two matrices to a linear "
                    "layer, and the penalty is on that product",
                    fix="use plain LoRA on linear layers, or another method",
                )
            found[f"{path}.base_layer.weight"] = Product(
                layer.lora_A[adapter].weight,
                layer.lora_B[adapter].weight,
                layer.scaling[adapter],
                bool(getattr(layer, "fan_in_fan_out", False)),
            )
    return found


def trained_weights(
    model: Any, products: Mapping[str, Product] | None = None
) -> dict[str, torch.nn.Parameter]:
    """The parameters that are trained, by name, without the factors of ``products``."""
    factors = {id(f) for product in (products or {}).values() for f in (product.a, product.b)}
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and id(parameter) not in factors
    }


def anchors_now(
    model: Any, products: Mapping[str, Product]
) -> tuple[dict[str, torch.Tensor], dict[str, Product]]:
    """Copies of what is trained as it stands: weights, and products for their factors."""
    weights = trained_weights(model, products)
    return (
        {name: weight.detach().clone() for name, weight in weights.items()},
        {name: product.copy() for name, product in products.items()},
    )


def pull_towards(
    model: Any,
    strength: float,
    anchors: dict[str, torch.Tensor],
    importances: dict[str, torch.Tensor] | None = None,
) -> float:
    """Add the gradient of strength/2 * sum of importance * (weight - anchor)^2 to ``.grad``.

    Args:
        model: Holds the weights; those that are not trained are left alone.
        strength: Factor before the sum, >= 0; at 0 nothing is touched.
        anchors: Parameter name to the value it is pulled to.
        importances: Parameter name to its importance, >= 0, of the same shape; what has none is
            left alone.  None: all are 1.  Like ``anchors``, moved to the parameter's device on
            first use.

    Returns:
        The squared norm of what was added.
    """
    import torch

    pulled = anchors.keys() if importances is None else anchors.keys() & importances.keys()
    if strength == 0 or not pulled:
        return 0.0
    squares: list[torch.Tensor] = []
    room = _Room()  # for one piece
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name not in pulled or not parameter.requires_grad:
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            tensors = [parameter, parameter.grad, _beside(parameter, anchors, name)]
            if importances is not None:
                tensors.append(_beside(parameter, importances, name))
            own = [local(tensor) for tensor in tensors]
            for weight, gradient, anchor, *importance in _in_pieces(own):
                dtype = torch.result_type(weight, anchor)
                here = room.shaped(weight.shape, dtype, weight.device)
                pull = torch.sub(weight, anchor, out=here)
                for factor in importance:
                    pull *= factor
                squares.append(torch.linalg.vector_norm(pull, dtype=torch.float32).square())
                gradient.add_(pull, alpha=strength)
    return strength**2 * _total(squares, of_parts=in_parts(model))


def pull_products(
    products: Mapping[str, Product],
    strength: float,
    anchors: dict[str, Product] | dict[str, torch.Tensor],
    importances: dict[str, torch.Tensor] | None = None,
) -> float:
    """Add the gradient of strength/2 * sum of importance * (s B A - anchor)^2 to those of A and B.

    With D the drift s B A - anchor times the importance, it is s B^T D for A and s D A^T for B.

    Args:
        products: What is trained, by the name of the layer's weight.
        strength: Factor before the sum, >= 0; at 0 nothing is touched.
        anchors: What each is pulled to: a product, or with importances any matrix.
        importances: Of every entry of the layer's weight, >= 0; without, all are 1 and no matrix
            of the layer's size is made.

    Returns:
        The squared norm of what was added to the gradients of A and B.
    """
    import torch

    if strength == 0:
        return 0.0
    squares: list[torch.Tensor] = []
    rooms = _Room(), _Room()  # for two matrices of a layer's size
    with torch.no_grad():
        for name, product in products.items():
            if name not in anchors:
                continue
            together = product.whole()
            a, b, scale = together.a, together.b, product.scale
            anchor = _beside(a, anchors, name)
            if importances is None:
                to_a = scale * (b.T @ b) @ a - anchor.scale * (b.T @ anchor.b) @ anchor.a
                to_b = scale * b @ (a @ a.T) - anchor.scale * anchor.b @ (anchor.a @ a.T)
            else:
                shape = len(b), a.shape[1]
                now, then = (room.shaped(shape, a.dtype, a.device) for room in rooms)
                # Worked out in the same way: where nothing has moved, 0 bit for bit.
                drift = together.dense(now)
                drift -= anchor.dense(then) if isinstance(anchor, Product) else whole(anchor)
                drift *= whole(_beside(a, importances, name))
                drift = product.shaped(drift)
                to_a, to_b = b.T @ drift, drift @ a.T
            squares.append(_add_gradient(product.a, to_a, strength * scale))
            squares.append(_add_gradient(product.b, to_b, strength * scale))
    return _total(squares)


def _in_pieces(tensors: Sequence[torch.Tensor]) -> Iterator[tuple[torch.Tensor, ...]]:
    """Tensors of one shape, some rows at a time: what is worked out of them takes little room."""
    import torch

    rows = [tensor if tensor.ndim else tensor[None] for tensor in tensors]
    most = PIECE["cpu" if rows[0].device.type == "cpu" else "other"]
    together = max(1, most * len(rows[0]) // max(1, rows[0].numel()))
    return zip(*(torch.split(tensor, together) for tensor in rows), strict=True)


class _Room:
    """Memory for one tensor at a time; taken anew for each it costs more than the sums."""

    def __init__(self) -> None:
        self._flat: torch.Tensor | None = None

    def shaped(
        self, shape: Sequence[int], dtype: torch.dtype, device: torch.device
    ) -> torch.Tensor:
        """A tensor of any content, good until the next one is asked for."""
        import torch

        entries, flat = math.prod(shape), self._flat
        if flat is None or flat.numel() < entries or (flat.dtype, flat.device) != (dtype, device):
            flat = self._flat = torch.empty(entries, dtype=dtype, device=device)
        return flat[:entries].view(*shape)


def _beside(parameter: torch.Tensor, values: dict[str, Any], name: str) -> Any:
    """A value on the device of its parameter; what came from disk is moved there once."""
    value = values[name] = values[name].to(parameter.device)
    return value


def _add_gradient(parameter: torch.Tensor, added: torch.Tensor, factor: float) -> torch.Tensor:
    """Add ``factor * added`` to the gradient; the squared norm of that, still on the device."""
    import torch

    if not parameter.requires_grad:
        return torch.zeros((), device=parameter.device)
    norm: torch.Tensor = torch.linalg.vector_norm(added, dtype=torch.float32) * factor
    added = laid_out_like(parameter, added)
    if parameter.grad is None:
        parameter.grad = added.mul_(factor).to(parameter.dtype)
    else:
        parameter.grad.add_(added, alpha=factor)
    return norm.square()


def _total(squares: list[torch.Tensor], *, of_parts: bool = False) -> float:
    """Their sum; over all processes, where each has those of its parts."""
    import torch

    if not squares:
        return 0.0
    total = torch.stack(squares).sum()
    if of_parts:
        add_up([total])
    return float(total)
