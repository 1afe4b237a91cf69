"""Continuing prompts, batched: the likeliest tokens, or tokens drawn from the model.

A token is drawn as the largest of logits/temperature + Gumbel noise (Gumbel 1954), with noise from
a generator of its own: torch's global one is neither read nor moved.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from forgetless.models.forward import pad_left

if TYPE_CHECKING:
    import torch


def continuations(
    model: Any,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop_ids: Sequence[int],
    pad_id: int,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    on_logits: Callable[[torch.Tensor], None] | None = None,
    stopping: Any = None,
) -> list[list[int]]:
    """Continue prompts until a stop token.

    Args:
        model: A causal language model in evaluation mode, on its device.
        prompts: Token ids of each prompt, at least one each; one batch.
        max_new_tokens: Longest continuation, in tokens.
        stop_ids: Tokens that end a continuation.
        pad_id: Token id used for padding.
        temperature: Logits are divided by it before a token is drawn; 0: the likeliest token.
        seed: Seed of the draws.
        on_logits: Is given the logits of each token, shape (prompts, vocabulary), before one is
            chosen.
        stopping: Other reasons to stop, as transformers' ``StoppingCriteriaList``.

    Returns:
        The new tokens of each, in order; the stop token is the last of those that came to one.
    """
    import torch
    from transformers import GenerationConfig, LogitsProcessorList

    device = next(model.parameters()).device
    padded = pad_left(prompts, pad_id)
    config = GenerationConfig(
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=list(stop_ids),
        pad_token_id=pad_id,
        use_cache=True,
    )
    noise = torch.Generator(device).manual_seed(seed)

    def drawn(ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        del ids
        exponential = torch.empty_like(logits).exponential_(generator=noise)
        return logits / temperature - exponential.log_()

    def watched(ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        del ids
        if on_logits is not None:
            on_logits(logits)
        return logits

    with _own_settings_set_aside(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokens = model.generate(
            input_ids=padded.ids.to(device),
            attention_mask=padded.mask.to(device),
            generation_config=config,
            logits_processor=LogitsProcessorList([watched, *([drawn] if temperature > 0 else [])]),
            stopping_criteria=stopping,
        )
    return [_until(new, stop_ids) for new in tokens[:, padded.ids.shape[1] :].tolist()]


@contextmanager
def _own_settings_set_aside(model: Any) -> Iterator[None]:
    """Set aside the generation settings that a model brings, such as a repetition penalty.

    transformers fills whatever a given configuration leaves open from the model's own.
    """
    from transformers import GenerationConfig

    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    own, inner.generation_config = inner.generation_config, GenerationConfig()
    try:
        yield
    finally:
        inner.generation_config = own


def _until(tokens: list[int], stop_ids: Sequence[int]) -> list[int]:
    """Tokens up to the first stop token, that one included."""
    for position, token in enumerate(tokens):
        if token in stop_ids:
            return tokens[: position + 1]
    return tokens
