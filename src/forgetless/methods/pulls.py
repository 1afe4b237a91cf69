"""Quadratic penalties on weights, as gradients that are added to those of the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def pull_towards(
    model: Any,
    strength: float,
    anchors: Mapping[str, torch.Tensor],
    importances: Mapping[str, torch.Tensor] | None = None,
) -> float:
    """Add the gradient of strength/2 * sum of importance * (weight - anchor)^2 to ``.grad``.

    Args:
        model: Holds the weights; those that are not trained are left alone.
        strength: Factor before the sum, >= 0; at 0 nothing is touched.
        anchors: Parameter name to the value it is pulled to.
        importances: Parameter name to its importance, >= 0, of the same shape; without, all are 1.

    Returns:
        The squared norm of what was added.
    """
    import torch

    if strength == 0 or not anchors:
        return 0.0
    squares: list[torch.Tensor] = []
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name not in anchors or not parameter.requires_grad:
                continue
            drift = parameter - anchors[name].to(parameter)
            if importances is not None:
                drift *= importances[name].to(parameter)
            squares.append(torch.linalg.vector_norm(drift, dtype=torch.float32).square())
            if parameter.grad is None:
                parameter.grad = drift.mul_(strength)
            else:
                parameter.grad.add_(drift, alpha=strength)
    return strength**2 * float(torch.stack(squares).sum()) if squares else 0.0
