"""Forward passes over examples: of one batch, as training makes them too, and over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from forgetless.methods.batch import IGNORED, Batch
from forgetless.models.forward import (
    evaluation_mode,
    last_hidden_states,
    pad_left,
    pad_like,
)
from forgetless.models.padding import side_by_side
from forgetless.models.rows import logits_of_rows
from forgetless.processes import shared_out
from forgetless.tasks.examples import Examples
from forgetless.tasks.render import Encoded

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

TOKENS_IN_A_PASS = 4096  # padding included; bounds the memory of a pass, not its result


def collated(examples: Sequence[Encoded]) -> dict[str, torch.Tensor]:
    """Examples as tensors, padded on the left.

    The first token of an example is never a label: nothing predicts it, least of all padding.

    Args:
        examples: At least one.

    Returns:
        ``input_ids``, ``attention_mask``, ``position_ids`` and ``labels``, each of shape (examples,
        length), and ``keys``, ``Encoded.key`` of each, shape (examples,).
    """
    import torch

    padded = pad_left([example.ids for example in examples])
    taught = pad_like(padded, [[False, *example.learned[1:]] for example in examples], 0).bool()
    return {
        "input_ids": padded.ids,
        "attention_mask": padded.mask,
        "position_ids": padded.positions,
        "labels": padded.ids.masked_fill(~taught, IGNORED),
        "keys": torch.tensor([example.key for example in examples]),
    }


def forward_pass(
    model: Any,
    inputs: Mapping[str, torch.Tensor],
    replayed: torch.Tensor,
    keys: torch.Tensor,
    learned_tokens: torch.Tensor | int | None,
) -> Batch:
    """Logits where something is learned, with the head only there, and what is learned.

    Args:
        model: The model, wrapped for several processes or not.
        inputs: ``input_ids``, ``attention_mask``, ``position_ids`` and ``labels``, each of shape
            (batch, length).
        replayed: Whether each row is rehearsal, shape (batch,).
        keys: ``Encoded.key`` of each row, shape (batch,).
        learned_tokens: Learned tokens in the whole optimiser step; None: those of this batch.
    """
    labels = inputs["labels"][:, 1:]
    columns = (labels != IGNORED).any(0).nonzero().squeeze(-1)
    place = inputs["input_ids"], inputs["attention_mask"], inputs["position_ids"], columns
    targets = labels[:, columns]
    logits = logits_of_rows(model, *place, targets != IGNORED)
    learned = targets.ne(IGNORED).sum() if learned_tokens is None else learned_tokens
    return Batch(*place, logits, targets, replayed, keys, max(1.0, float(learned)))


def batch_of(model: Any, examples: Sequence[Encoded]) -> Batch:
    """One forward pass over examples, gradients as the caller's context has them.

    Args:
        model: A causal language model, on its device.
        examples: At least one; each has a learned token after its first.

    Returns:
        The batch as a loss sees it; ``learned_tokens`` are those of this batch.
    """
    import torch

    device = next(model.parameters()).device
    inputs = {name: tensor.to(device) for name, tensor in collated(examples).items()}
    replayed = torch.zeros(len(examples), dtype=torch.bool, device=device)
    return forward_pass(model, inputs, replayed, inputs["keys"], None)


def in_batches(
    model: Any, examples: Examples, tokens: int = TOKENS_IN_A_PASS
) -> Iterator[np.ndarray[Any, Any]]:
    """Indices of examples of like length, as many together as fit into so many padded tokens.

    Of one length, where the model reads padding.
    """
    order = np.argsort(-examples.lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = int(examples.lengths[order[start]])
        size = max(1, tokens // longest)
        batch = order[start : start + size]
        for places in side_by_side(model, examples.lengths[batch].tolist()):
            yield batch[places]
        start += size


def passes(
    model: Any, examples: Examples, look: Callable[[Batch], T]
) -> Iterator[tuple[list[int], T]]:
    """Every example through the model once, without gradients and without dropout.

    Args:
        model: A causal language model.
        examples: Each has a learned token after its first.
        look: What is wanted of a batch, on the CPU; processes share the batches.

    Yields:
        Indices of some examples, and what was found of their batch, row by row.
    """
    import torch

    def seen(chosen: list[int]) -> T:
        with torch.no_grad():
            return look(batch_of(model, [examples[index] for index in chosen]))

    batches = [chosen.tolist() for chosen in in_batches(model, examples)]
    with evaluation_mode(model):
        yield from zip(batches, shared_out(batches, seen), strict=True)


def mean_losses(model: Any, examples: Examples) -> np.ndarray[Any, Any]:
    """Mean cross-entropy of the learned tokens of each example in nats, shape (examples,)."""

    def look(batch: Batch) -> np.ndarray[Any, Any]:
        means: np.ndarray[Any, Any] = (
            (batch.losses.sum(1) / (batch.targets != IGNORED).sum(1)).cpu().numpy()
        )
        return means

    found = np.zeros(len(examples))
    for indices, means in passes(model, examples, look):
        found[indices] = means
    return found


def embeddings(model: Any, examples: Examples) -> np.ndarray[Any, Any]:
    """Mean over its tokens of the last hidden states of each example, shape (examples, width)."""
    import torch

    device = next(model.parameters()).device

    def pooled(chosen: list[int]) -> np.ndarray[Any, Any]:
        padded = pad_left([examples[index].ids for index in chosen])
        ids, mask, positions = (t.to(device) for t in (padded.ids, padded.mask, padded.positions))
        states = last_hidden_states(model, ids, mask, positions).float()
        share = (mask / mask.sum(1, keepdim=True)).to(states)
        means: np.ndarray[Any, Any] = torch.einsum("blw,bl->bw", states, share).cpu().numpy()
        return means

    batches = [chosen.tolist() for chosen in in_batches(model, examples)]
    with evaluation_mode(model), torch.no_grad():
        means = np.concatenate([*shared_out(batches, pooled)])
    return means[np.argsort(np.concatenate(batches))]
