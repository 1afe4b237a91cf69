"""How a low-rank adapter starts: from a layer's weight, its inputs, or the gradient of its weight.

What peft starts at random (``default``, ``gaussian``, ``orthogonal``) is left to it.  Of the ways
here, ``mica`` and ``eva`` leave one factor at zero; the others take over a part s * B0 A0 of every
weight W.  peft subtracts it from W in place, so that what it saves fits the changed weights alone.
Here W stays as it is, and a second, frozen adapter (A0, -B0) takes the part off: the same function
and the same gradients.

Source: PiSSA, Meng et al. 2024 (arXiv 2404.02948), equations 2 and 3; OLoRA, Büyükakyüz 2024 (arXiv
2406.01775), algorithm 1; CorDA in knowledge-preserved mode, Yang et al. 2024 (arXiv 2406.05223),
section 3; LoRA-GA, Wang et al. 2024 (arXiv 2407.05000), algorithm 1; MiCA (arXiv 2604.01694); EVA,
Paischer et al. 2024 (arXiv 2410.07170), section 3.

Differs: CorDA's second moments are scaled to a mean of 1 on the diagonal, which leaves B0 A0 as it
is and balances B0 with A0 whatever the scale of a layer's inputs.  EVA takes its directions from
all inputs at once instead of an incremental estimate, and gives every layer the same rank.  LoRA-GA
scales B0 and A0 alike, as its authors do; peft multiplies B0 by the gradient's singular values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from forgetless.errors import ModelError
from forgetless.methods.parts.adapters import ADAPTER, weights_of_their_own
from forgetless.methods.parts.passes import batch_of, in_batches
from forgetless.models.forward import logits_at, pad_left
from forgetless.tasks.examples import Examples

if TYPE_CHECKING:
    import torch

Init = Literal[
    "default", "gaussian", "orthogonal", "mica",
    "eva", "pissa", "pissa_niter", "olora", "corda", "lora_ga",
]  # fmt: skip
Factors = tuple["torch.Tensor", "torch.Tensor"]

BY_PEFT = frozenset({"default", "gaussian", "orthogonal"})
TAKING_OVER = frozenset({"pissa", "pissa_niter", "olora", "corda", "lora_ga"})
FROM_ROWS = frozenset({"eva", "corda", "lora_ga"})

DAMPING = 0.01  # of CorDA's second moments, relative to their mean diagonal
GAMMA = 16.0  # LoRA-GA's gamma


def refuse_rank(layers: Sequence[Any], init: Init) -> None:
    """Refuse a start that takes more from a layer than it has.

    Args:
        layers: Layers that have an adapter; their shapes are enough.
        init: How the adapter is to start; not one of ``BY_PEFT``.

    Raises:
        ModelError: for the first of them.
    """
    for layer in layers:
        rank, most = layer.r[ADAPTER], min(layer.in_features, layer.out_features)
        if rank > most // (2 if init == "lora_ga" else 1):
            raise ModelError(
                f"init {init} cannot take rank {rank} from a layer of {layer.in_features} inputs "
                f"and {layer.out_features} outputs",
                fix="lower  lora: {rank: ...}, or use another init",
            )


def start_factors(
    model: Any,
    layers: Sequence[Any],
    init: Init,
    iterations: int,
    examples: Examples | None,
) -> list[Factors]:
    """The factors with which the adapter of each layer starts.

    Args:
        model: Has an adapter that changes nothing yet.
        layers: Its layers that have one, of a rank that ``refuse_rank`` lets pass.
        init: Not one of ``BY_PEFT``.
        iterations: Subspace iterations of ``pissa_niter``.
        examples: What the ways of ``FROM_ROWS`` look at.

    Returns:
        A0, shape (rank, inputs), and B0, shape (outputs, rank), of each layer, float32.
    """
    seen: Sequence[torch.Tensor | None] = [None] * len(layers)
    if examples is not None:
        look = mean_gradients if init == "lora_ga" else second_moments
        seen = look(model, layers, examples)
    return [
        _start(init, layer, shown, iterations) for layer, shown in zip(layers, seen, strict=True)
    ]


def _start(init: Init, layer: Any, shown: Any, iterations: int) -> Factors:
    rank, scale = layer.r[ADAPTER], layer.scaling[ADAPTER]
    if init == "eva":
        return eva(shown, rank, outputs=layer.out_features)
    weight = _oriented(layer, layer.get_base_layer().weight.detach()).float()
    match init:
        case "mica":
            return mica(weight, rank)
        case "olora":
            return olora(weight, rank)
        case "corda":
            return corda(weight, shown, rank, scale)
        case "lora_ga":
            return lora_ga(shown, rank)
        case _:
            return pissa(weight, rank, scale, iterations if init == "pissa_niter" else None)


def mica(weight: torch.Tensor, rank: int) -> Factors:
    """A0 = 0; B0: the directions of the outputs that W uses least, shape (outputs, inputs)."""
    import torch

    u, _, _ = torch.linalg.svd(weight, full_matrices=False)
    return weight.new_zeros(rank, weight.shape[1]), u[:, -rank:]


def eva(moments: torch.Tensor, rank: int, outputs: int) -> Factors:
    """A0: the directions in which the inputs are largest; B0 = 0.

    Args:
        moments: Sum of x x^T over inputs x, shape (inputs, inputs).
        rank: Number of directions.
        outputs: Rows of B0.
    """
    import torch

    directions = torch.linalg.eigh(moments).eigenvectors.T.flip(0)  # the largest first
    return directions[:rank], moments.new_zeros(outputs, rank)


def pissa(weight: torch.Tensor, rank: int, scale: float, iterations: int | None = None) -> Factors:
    """The largest singular values: s * B0 A0 = U_r S_r V_r^T, the roots of S_r in either factor.

    Args:
        weight: Shape (outputs, inputs).
        rank: How many.
        scale: s.
        iterations: Subspace iterations of an approximate decomposition; None: the exact one.
    """
    import torch

    if iterations is None:
        u, values, vh = torch.linalg.svd(weight, full_matrices=False)
    else:
        u, values, v = torch.svd_lowrank(weight, q=rank, niter=iterations)
        vh = v.T
    roots = (values[:rank] / scale).sqrt()
    return roots[:, None] * vh[:rank], u[:, :rank] * roots


def olora(weight: torch.Tensor, rank: int) -> Factors:
    """The first columns of Q and the first rows of R in W = Q R, shape (outputs, inputs)."""
    import torch

    q, r = torch.linalg.qr(weight)
    return r[:rank], q[:, :rank]


def corda(weight: torch.Tensor, moments: torch.Tensor, rank: int, scale: float) -> Factors:
    """What some inputs need least of W: s * B0 A0 = U_r S_r V_r^T C^-1 where W C = U S V^T.

    U_r, S_r and V_r belong to the smallest singular values, so that the larger ones stay in W.

    Args:
        weight: W, shape (outputs, inputs).
        moments: C, the sum of x x^T over those inputs x, shape (inputs, inputs).
        rank: How many singular values.
        scale: s.
    """
    import torch

    context = moments / moments.diagonal().mean()
    context.diagonal().add_(DAMPING)
    u, values, vh = torch.linalg.svd(weight @ context, full_matrices=False)
    roots = (values[-rank:] / scale).sqrt()
    back = torch.linalg.solve(context, vh[-rank:].T).T  # V_r^T C^-1, as C is symmetric
    return roots[:, None] * back, u[:, -rank:] * roots


def lora_ga(gradient: torch.Tensor, rank: int) -> Factors:
    """A0 along the first and B0 along the next singular directions of the gradient of W.

    Args:
        gradient: Shape (outputs, inputs).
        rank: How many directions each.
    """
    import torch

    u, _, v = torch.svd_lowrank(gradient, q=min(4 * rank, *gradient.shape), niter=4)
    length = len(gradient) ** 0.25 / GAMMA**0.5
    return length * v[:, :rank].T, length * u[:, rank : 2 * rank]


def second_moments(model: Any, layers: Sequence[Any], examples: Examples) -> list[torch.Tensor]:
    """Sum of x x^T over the inputs x of each layer, at every token that is not padding.

    Returns:
        Float32, shape (inputs, inputs), for each layer.
    """
    import torch

    device = next(model.parameters()).device
    batches = [*in_batches(model, examples)]  # tries the model out, so before it has hooks
    sums = [torch.zeros(layer.in_features, layer.in_features, device=device) for layer in layers]
    real = torch.empty(0)

    def adding_to(total: torch.Tensor) -> Callable[..., None]:
        def add(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            del module
            tokens = inputs[0][real].float()  # shape (tokens, inputs)
            total.addmm_(tokens.T, tokens)

        return add

    hooks = [
        layer.register_forward_pre_hook(adding_to(total))
        for layer, total in zip(layers, sums, strict=True)
    ]
    try:
        for chosen in batches:
            padded = pad_left([examples[index].ids for index in chosen.tolist()])
            ids, mask = padded.ids.to(device), padded.mask.to(device)
            real = mask.bool()
            with torch.no_grad():
                logits_at(model, ids, mask, padded.positions.to(device), ids.new_zeros(1))
    finally:
        for hook in hooks:
            hook.remove()
    return sums


def mean_gradients(model: Any, layers: Sequence[Any], examples: Examples) -> list[torch.Tensor]:
    """Gradient of the mean loss of the learned tokens for the weight of each layer, float32.

    Returns:
        Shape (outputs, inputs), for each layer.
    """
    import torch

    learned = 0.0
    with weights_of_their_own([layer.get_base_layer() for layer in layers]) as weights:
        for weight in weights:
            weight.requires_grad_()
        sums = [torch.zeros_like(weight, dtype=torch.float32) for weight in weights]
        for chosen in in_batches(model, examples):
            batch = batch_of(model, [examples[index] for index in chosen.tolist()])
            found = torch.autograd.grad(batch.losses.sum(), weights)
            for total, gradient in zip(sums, found, strict=True):
                total += gradient
            learned += batch.learned_tokens
    return [_oriented(layer, total) / learned for layer, total in zip(layers, sums, strict=True)]


def _oriented(layer: Any, weight: torch.Tensor) -> torch.Tensor:
    """What has the form of a layer's weight as shape (outputs, inputs)."""
    return weight.T if layer.fan_in_fan_out else weight
