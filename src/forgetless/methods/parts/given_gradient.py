"""A value whose gradient was worked out with it.

This module imports torch as a whole: import it inside functions only.
"""

from __future__ import annotations

from typing import Any

import torch


class GivenGradient(torch.autograd.Function):
    """``GivenGradient.apply(input, value, gradient)`` is the value, with that gradient by input."""

    @staticmethod
    def forward(
        ctx: Any, given: torch.Tensor, value: torch.Tensor, gradient: torch.Tensor
    ) -> torch.Tensor:
        """The value, a scalar; ``gradient`` has the shape of ``given``."""
        del given
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """The gradient, times that of what was made of the value."""
        return slope * ctx.saved_tensors[0], None, None
