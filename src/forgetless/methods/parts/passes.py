"""Passes over examples that methods make by themselves: outside of training, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from forgetless.methods.base import IGNORED, Batch
from forgetless.models.forward import (
    evaluation_mode,
    last_hidden_states,
    pad_left,
    pad_like,
)
from forgetless.models.rows import logits_of_rows
from forgetless.processes import shared_out
from forgetless.tasks.examples import Examples
from forgetless.tasks.render import Encoded

T = TypeVar("T")

TOKENS_IN_A_PASS = 4096  # padding included; bounds the memory of a pass, not its result


def batch_of(model: Any, examples: Sequence[Encoded], pad_id: int) -> Batch:
    """One forward pass over examples, gradients as the caller's context has them.

    Args:
        model: A causal language model, on its device.
        examples: At least one; each has a learned token after its first.
        pad_id: Token id used for padding.

    Returns:
        The batch as a loss sees it; ``learned_tokens`` are those of this batch.
    """
    import torch

    device = next(model.parameters()).device
    padded = pad_left([example.ids for example in examples], pad_id)
    # The first token of a row is never a target: nothing predicts it, least of all padding.
    taught = [[False, *example.learned[1:]] for example in examples]
    learned = pad_like(padded, taught, 0)[:, 1:].bool()
    columns = learned.any(0).nonzero().squeeze(-1)
    targets = padded.ids[:, 1:].masked_fill(~learned, IGNORED)[:, columns].to(device)
    ids, mask, positions = (t.to(device) for t in (padded.ids, padded.mask, padded.positions))
    columns = columns.to(device)
    return Batch(
        ids,
        mask,
        positions,
        columns,
        logits_of_rows(model, ids, mask, positions, columns, targets != IGNORED),
        targets,
        torch.zeros(len(examples), dtype=torch.bool, device=device),
        torch.tensor([example.key for example in examples], device=device),
        float((targets != IGNORED).sum()),
    )


def in_batches(
    examples: Examples, tokens: int = TOKENS_IN_A_PASS
) -> Iterator[np.ndarray[Any, Any]]:
    """Indices of examples of like length, as many together as fit into so many padded tokens."""
    order = np.argsort(-examples.lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = int(examples.lengths[order[start]])
        size = max(1, tokens // longest)
        yield order[start : start + size]
        start += size


def passes(
    model: Any, examples: Examples, pad_id: int, look: Callable[[Batch], T]
) -> Iterator[tuple[list[int], T]]:
    """Every example through the model once, without gradients and without dropout.

    Args:
        model: A causal language model.
        examples: Each has a learned token after its first.
        pad_id: Token id used for padding.
        look: What is wanted of a batch, on the CPU; processes share the batches.

    Yields:
        Indices of some examples, and what was found of their batch, row by row.
    """
    import torch

    def seen(chosen: list[int]) -> T:
        with torch.no_grad():
            return look(batch_of(model, [examples[index] for index in chosen], pad_id))

    batches = [chosen.tolist() for chosen in in_batches(examples)]
    with evaluation_mode(model):
        yield from zip(batches, shared_out(batches, seen), strict=True)


def mean_losses(model: Any, examples: Examples, pad_id: int) -> np.ndarray[Any, Any]:
    """Mean cross-entropy of the learned tokens of each example in nats, shape (examples,)."""

    def look(batch: Batch) -> np.ndarray[Any, Any]:
        means: np.ndarray[Any, Any] = (
            (batch.losses.sum(1) / (batch.targets != IGNORED).sum(1)).cpu().numpy()
        )
        return means

    found = np.zeros(len(examples))
    for indices, means in passes(model, examples, pad_id, look):
        found[indices] = means
    return found


def embeddings(model: Any, examples: Examples, pad_id: int) -> np.ndarray[Any, Any]:
    """Mean over its tokens of the last hidden states of each example, shape (examples, width)."""
    import torch

    device = next(model.parameters()).device

    def pooled(chosen: list[int]) -> np.ndarray[Any, Any]:
        padded = pad_left([examples[index].ids for index in chosen], pad_id)
        ids, mask, positions = (t.to(device) for t in (padded.ids, padded.mask, padded.positions))
        states = last_hidden_states(model, ids, mask, positions).float()
        share = (mask / mask.sum(1, keepdim=True)).to(states)
        means: np.ndarray[Any, Any] = torch.einsum("blw,bl->bw", states, share).cpu().numpy()
        return means

    batches = [chosen.tolist() for chosen in in_batches(examples)]
    with evaluation_mode(model), torch.no_grad():
        means = np.concatenate([*shared_out(batches, pooled)])
    return means[np.argsort(np.concatenate(batches))]
