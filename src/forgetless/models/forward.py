"""One forward pass over ragged sequences, with the head only where logits are wanted.

For a 135M-parameter model the head is a fifth of the work and with a large vocabulary most of the
memory; prompts need none of it.  Sequences are padded on the left, so that the answers of a batch
stand at the same few last positions.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Padded:
    """Sequences of different lengths as one tensor.

    Attributes:
        ids: Token ids, shape (batch, length), int64, padded on the left.
        mask: 1 on tokens, 0 on padding, shape (batch, length), int64.
        positions: Position of each token in its own sequence, shape (batch, length), int64.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor


PADDING = 0  # any token will do: nothing looks at it


def pad_left(sequences: Sequence[Sequence[int]]) -> Padded:
    """Pad token id sequences on the left to the longest."""
    import torch

    length = max(map(len, sequences))
    ids = torch.full((len(sequences), length), PADDING, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        start = length - len(sequence)
        ids[row, start:] = torch.as_tensor(sequence, dtype=torch.int64)
        mask[row, start:] = 1
    return Padded(ids, mask, (mask.cumsum(1) - 1).clamp(min=0))


def pad_like(padded: Padded, values: Sequence[Sequence[int]], fill: int) -> torch.Tensor:
    """Per-token values aligned with ``padded``, ``fill`` on the padding; shape (batch, length)."""
    import torch

    aligned = torch.full_like(padded.ids, fill)
    for row, sequence in enumerate(values):
        aligned[row, aligned.shape[1] - len(sequence) :] = torch.as_tensor(sequence)
    return aligned


def logits_at(
    model: Any,
    ids: torch.Tensor,
    mask: torch.Tensor,
    positions: torch.Tensor,
    wanted: torch.Tensor,
    cache: Any = None,
) -> torch.Tensor:
    """Next-token logits at some columns.

    Args:
        model: A causal language model of transformers or peft.
        ids: Token ids, shape (batch, length).
        mask: Attention mask, shape (batch, length); or, where the model takes it, what is added to
            the attention scores, shape (batch, 1, length, cached + length).
        positions: Position ids, shape (batch, length).
        wanted: Column indices, shape (k,), the same for every row.
        cache: Keys and values of what stands before; those of ``ids`` are added to it.

    Returns:
        Logits, shape (batch, k, vocabulary); column ``wanted[i]`` predicts token ``wanted[i] + 1``.
    """
    takes = accepts(model)
    inputs = {"input_ids": ids, "attention_mask": mask, "use_cache": cache is not None}
    if cache is not None:
        # transformers 5.24 has another name for it, and warns of the old one
        inputs["cache" if "cache" in takes else "past_key_values"] = cache
    if "position_ids" in takes:
        inputs["position_ids"] = positions
    if "logits_to_keep" in takes:
        logits: torch.Tensor = model(**inputs, logits_to_keep=wanted).logits
        return logits
    every: torch.Tensor = model(**inputs).logits
    return every[:, wanted]


def last_logits(
    model: Any, sequences: Sequence[Sequence[int]], columns: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """What predicts the last tokens of sequences, which are padded to one length.

    Args:
        model: As for :func:`logits_at`.
        sequences: Token ids of each, of any length.
        columns: How many of the last tokens; a first token is predicted by nothing.

    Returns:
        The last k tokens, shape (batch, k), and the logits that predict them, shape
        (batch, k, vocabulary), where k is ``columns`` or all but the first column.
    """
    import torch

    device = next(model.parameters()).device
    padded = pad_left(sequences)
    length = padded.ids.shape[1]
    first = max(length - columns - 1, 0)
    ids, mask, positions = (each.to(device) for each in (padded.ids, padded.mask, padded.positions))
    logits = logits_at(model, ids, mask, positions, torch.arange(first, length - 1, device=device))
    return ids[:, first + 1 :], logits


def last_hidden_states(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """What the last layer gives the head, shape (batch, length, width); arguments as above."""
    backbone = innermost(model).base_model
    inputs = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
    if "position_ids" in inspect.signature(backbone.forward).parameters:
        inputs["position_ids"] = positions
    states: torch.Tensor = backbone(**inputs).last_hidden_state
    return states


@contextmanager
def evaluation_mode(model: Any) -> Iterator[None]:
    """Without dropout; every module goes back to its own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    for module, _ in modes:
        # On a CPU with bfloat16 instructions bitsandbytes would lay 4-bit weights out for answering
        # alone, and for good: what is trained afterwards would get no gradient through them.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def only_asked(model: Any) -> Iterator[None]:
    """Evaluation mode in which nothing is learned; afterwards the model can be trained as before.

    What it made and keeps, tables of positions, say, is of torch's inference mode where it was
    asked in that; the next training step would fail.
    """
    with evaluation_mode(model):
        try:
            yield
        finally:
            for module in model.modules():
                _let_gradients_through(vars(module))


def _let_gradients_through(value: Any, depth: int = 4) -> Any:
    """A value without tensors of inference mode; lists and dicts are mended where they are."""
    import torch

    if type(value) is torch.Tensor and value.is_inference():
        return value.clone()
    if depth and type(value) is tuple:
        return tuple(_let_gradients_through(each, depth - 1) for each in value)
    if depth and type(value) in (list, dict):
        for place, each in [*(value.items() if type(value) is dict else enumerate(value))]:
            value[place] = _let_gradients_through(each, depth - 1)
    return value


def accepts(model: Any) -> set[str]:
    """Names of the arguments that the innermost model's forward takes."""
    return set(inspect.signature(innermost(model).forward).parameters)


def innermost(model: Any) -> Any:
    """The transformers model inside of what wraps it; adapters are inside of it."""
    inner = getattr(model, "module", model)
    return inner.get_base_model() if hasattr(inner, "get_base_model") else inner
