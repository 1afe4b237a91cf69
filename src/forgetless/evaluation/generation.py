"""Greedy answers to prompts, batched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from forgetless.models.generation import continuations
from forgetless.models.load import LoadedModel

if TYPE_CHECKING:
    import torch


def generate(
    loaded: LoadedModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop_ids: Sequence[int],
) -> list[str | None]:
    """Continue prompts greedily until a stop token.

    Args:
        loaded: Model and tokenizer.
        prompts: Token ids of each prompt; one batch.
        max_new_tokens: Longest answer, in tokens.
        stop_ids: Tokens that end an answer.

    Returns:
        The answers as text, special tokens left out, in order; None where a logit was not a number.
    """
    import torch

    tokenizer = loaded.tokenizer
    seen: list[torch.Tensor] = []  # for each new token, which prompts' logits were not numbers
    answers = continuations(
        loaded.model,
        prompts,
        max_new_tokens,
        stop_ids,
        tokenizer.pad_token_id or 0,
        on_logits=lambda logits: seen.append(logits.isnan().any(-1)),
    )
    not_numbers = torch.stack(seen, dim=1).tolist()  # (prompts, tokens)
    return [
        None
        if any(nan[: len(answer)])
        else tokenizer.decode(
            answer[:-1] if answer and answer[-1] in stop_ids else answer, skip_special_tokens=True
        ).strip()
        for answer, nan in zip(answers, not_numbers, strict=True)
    ]
