"""A value whose gradient was worked out with it.

This module imports torch as a whole: import it inside functions only.
"""

from __future__ import annotations

from typing import Any

import torch


class GivenGradient(torch.autograd.Function):
    """``GivenGradient.apply(input, value, gradient)`` is the value, with that gradient by input.

    The gradient is as large as the logits: the backward pass scales it in place and hands it on, so
    that there is one of it.  A second backward pass through the same value is an error.
    """

    @staticmethod
    def forward(
        ctx: Any, given: torch.Tensor, value: torch.Tensor, gradient: torch.Tensor
    ) -> torch.Tensor:
        """The value, a scalar; ``gradient`` has the shape of ``given`` and is given away."""
        del given
        ctx.gradient = gradient
        return value.clone()

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """The gradient, times that of what was made of the value.

        Raises:
            RuntimeError: the second time.
        """
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            raise RuntimeError("this loss was carried backwards before, and its gradient is gone")
        return gradient.mul_(slope), None, None
