"""Greedy answers to prompts, batched."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from forgetless.models.forward import pad_left
from forgetless.models.load import LoadedModel


def generate(
    loaded: LoadedModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop_ids: Sequence[int],
) -> list[str]:
    """Continue prompts greedily until a stop token.

    Args:
        loaded: Model and tokenizer.
        prompts: Token ids of each prompt; one batch.
        max_new_tokens: Longest answer, in tokens.
        stop_ids: Tokens that end an answer.

    Returns:
        The answers as text, special tokens left out, in order.
    """
    import torch
    from transformers import GenerationConfig

    device = next(loaded.model.parameters()).device
    tokenizer = loaded.tokenizer
    padded = pad_left(prompts, tokenizer.pad_token_id or 0)
    config = GenerationConfig(
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=list(stop_ids),
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.inference_mode(), _nothing_but_greedy(loaded.model), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokens = loaded.model.generate(
            input_ids=padded.ids.to(device),
            attention_mask=padded.mask.to(device),
            generation_config=config,
        )
    answers = tokens[:, padded.ids.shape[1] :].tolist()
    return [
        tokenizer.decode(_until(answer, stop_ids), skip_special_tokens=True).strip()
        for answer in answers
    ]


@contextmanager
def _nothing_but_greedy(model: Any) -> Iterator[None]:
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
    for position, token in enumerate(tokens):
        if token in stop_ids:
            return tokens[:position]
    return tokens
