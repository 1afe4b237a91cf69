"""The diagonal of the Fisher information: how much each weight matters for what was learned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from forgetless.methods.batch import IGNORED
from forgetless.methods.parts.passes import batch_of
from forgetless.models.forward import evaluation_mode
from forgetless.processes import sums_over
from forgetless.tasks.render import Encoded

if TYPE_CHECKING:
    import torch


def fisher_diagonal(
    model: Any,
    weights: Mapping[str, torch.nn.Parameter],
    examples: Sequence[Encoded],
    seeds: Sequence[int] = (),
) -> dict[str, torch.Tensor]:
    """Mean over examples of the squared gradient of each example's negative log-likelihood.

    F_i = 1/N sum_n (d/dw_i sum_t -log p(y_nt | x_n, y_n1 .. y_n,t-1))^2, t over the learned tokens:
    summed within an example, squared example by example, without dropout.  Each gradient is
    squared and let go as soon as it is there, so that never more than one layer's is held.

    Args:
        model: A causal language model; left as it was, its gradients cleared.
        weights: Parameters of it by name, trained or not.  That of an adapter's base layer stands
            for the product: a change of either changes the layer alike, so their gradients agree.
        examples: At least one; processes share them.
        seeds: Of each example.  Its targets are drawn from the model's own predictions (the true
            Fisher), given the example's tokens before them; without seeds, they are those of the
            data (the empirical Fisher).

    Returns:
        For each weight, a tensor of its shape, float32, >= 0.
    """
    chosen = range(len(examples))

    def squares_of(some: Sequence[int]) -> dict[str, torch.Tensor]:
        drawn = [(examples[index], seeds[index] if seeds else None) for index in some]
        return _summed_squares(model, weights, drawn)

    squares = sums_over(chosen, squares_of)
    for square in squares.values():
        square /= len(examples)
    return squares


def _summed_squares(
    model: Any,
    weights: Mapping[str, torch.nn.Parameter],
    examples: Iterable[tuple[Encoded, int | None]],
) -> dict[str, torch.Tensor]:
    """Sum of the squared gradients of examples, each with the seed that draws its targets."""
    import torch

    squares = {name: torch.zeros_like(w, dtype=torch.float32) for name, w in weights.items()}
    trained = [(p, p.requires_grad) for p in model.parameters()]
    model.zero_grad(set_to_none=True)
    model.requires_grad_(False)
    hooks = []
    try:
        for name, weight in weights.items():
            weight.requires_grad_(True)
            add: Any = weight.register_post_accumulate_grad_hook
            hooks.append(add(_squared_into(squares[name])))
        with evaluation_mode(model):
            for example, seed in examples:
                batch = batch_of(model, [example])
                if seed is not None:
                    batch = replace(batch, targets=_drawn(batch.logits, batch.targets, seed))
                batch.losses.sum().backward()  # type: ignore[no-untyped-call]
    finally:
        for hook in hooks:
            hook.remove()
        for parameter, was in trained:
            parameter.requires_grad_(was)
    return squares


def _squared_into(squares: torch.Tensor) -> Callable[[torch.Tensor], None]:
    def add(weight: torch.Tensor) -> None:
        assert weight.grad is not None
        gradient = weight.grad.to(squares.dtype)
        squares.addcmul_(gradient, gradient)
        weight.grad = None

    return add


def _drawn(logits: torch.Tensor, targets: torch.Tensor, seed: int) -> torch.Tensor:
    """Tokens drawn from the predictions, where one is learned; shape (1, k)."""
    import torch

    draw = torch.Generator(logits.device).manual_seed(seed)
    chances = logits.detach().float().softmax(-1).flatten(0, 1)
    tokens = torch.multinomial(chances, 1, generator=draw).view_as(targets)
    return tokens.where(targets != IGNORED, targets)
