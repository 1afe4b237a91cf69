"""Points between two states of a model: weight by weight, adapters by the change they make."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

GRID = tuple(tenth / 10 for tenth in range(11))
"""The alphas at which the best is looked for; a few dozen items tell no finer steps apart."""


def move_between(
    model: Any,
    before: Mapping[str, torch.Tensor],
    after: Mapping[str, torch.Tensor],
    alpha: float,
) -> None:
    """Set what is trained to (1 - alpha) * before + alpha * after; 0 and 1 are exact copies.

    A LoRA adapter adds B A to a weight, so the products are averaged, not A and B: see
    :func:`between_products`.

    Args:
        model: Its parameters are written.
        before: The values at alpha 0 of those that were trained, by name, on any device.
        after: The values at alpha 1 of the same; may be the parameters themselves.
        alpha: In [0, 1].
    """
    import torch

    parameters = dict(model.named_parameters())
    live = {name: parameters[name] for name in before}
    with torch.no_grad():
        if alpha in (0, 1):  # no arithmetic: every bit is as it was
            for name, parameter in live.items():
                parameter.copy_((after if alpha else before)[name])
            return
        for down, up in adapter_factors(before):
            device = live[up].device
            (b0, a0), (b1, a1) = (
                (end[up].to(device), end[down].to(device)) for end in (before, after)
            )
            b, a = between_products(b0, a0, b1, a1, alpha)
            live.pop(up).copy_(b)
            live.pop(down).copy_(a)
        for name, parameter in live.items():
            start, end = (state[name].to(parameter.device) for state in (before, after))
            parameter.copy_(torch.lerp(start, end, alpha))


def between_products(
    b0: torch.Tensor, a0: torch.Tensor, b1: torch.Tensor, a1: torch.Tensor, alpha: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Factors of rank r whose product is nearest to (1 - alpha) * b0 a0 + alpha * b1 a1.

    The sum is the product [(1-alpha) b0, alpha b1] [a0; a1] of rank 2r; of it the r greatest
    singular values are kept, found without forming it.  While b0 is zero, as it is before an
    adapter's first step, the sum is alpha * b1 a1 without any rounding of a1.

    Args:
        b0: Shape (out, r).
        a0: Shape (r, in).
        b1: Shape (out, r).
        a1: Shape (r, in).
        alpha: In [0, 1].

    Returns:
        b, shape (out, r), and a, shape (r, in): as in a new adapter, the rows of a are alike in
        length, about that of a1's, and b says how much of each is added.

    Source: Eckart and Young 1936: no other factors of rank r come nearer in Frobenius norm.
    """
    import torch
    from torch.nn.functional import pad

    if not b0.any():
        return alpha * b1, a1
    q_out, r_out = torch.linalg.qr(torch.cat([(1 - alpha) * b0, alpha * b1], 1).float())
    q_in, r_in = torch.linalg.qr(torch.cat([a0, a1]).float().T)
    u, s, v = torch.linalg.svd(r_out @ r_in.T, full_matrices=False)
    rank = len(a1)
    length = float(torch.linalg.matrix_norm(a1.float())) / math.sqrt(rank)
    b = q_out @ u[:, :rank] * (s[:rank] / length)
    a = length * v[:rank] @ q_in.T
    missing = rank - len(a)  # of an adapter whose rank exceeds its layer's
    return pad(b, (0, missing)), pad(a, (0, 0, 0, missing))


def adapter_factors(names: Iterable[str]) -> list[tuple[str, str]]:
    """Names of the factors A and B of every LoRA-adapted weight whose both factors are named."""
    names = set(names)
    pairs = [(down, down.replace("_A.", "_B.")) for down in sorted(names) if ".lora_" in down]
    return [(down, up) for down, up in pairs if up != down and up in names]
