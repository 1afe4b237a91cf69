"""Greedy answers to prompts, batched."""

from __future__ import annotations

from collections.abc import Sequence

from forgetless.models.generation import NotNumbers, continuations
from forgetless.models.load import LoadedModel

TOKENS_A_PROMPT = 512  # with its answer; of shorter ones as many more are continued at a time


def generate(
    loaded: LoadedModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop_ids: Sequence[int],
    size: int | None = None,
) -> list[str | None]:
    """Continue prompts greedily until a stop token.

    Args:
        loaded: Model and tokenizer.
        prompts: Token ids of each prompt.
        max_new_tokens: Longest answer, in tokens.
        stop_ids: Tokens that end an answer.
        size: Most prompts of 512 tokens or more, with their answers, that are continued at a time,
            and of shorter ones in proportion; None: all.

    Returns:
        The answers as text, special tokens left out, in order; None where a logit was not a number.
    """
    tokenizer = loaded.tokenizer
    broken = NotNumbers()
    if size is not None:
        longest = max(map(len, prompts)) + max_new_tokens
        size = max(size, size * TOKENS_A_PROMPT // longest)
    answers = continuations(
        loaded.model,
        prompts,
        max_new_tokens,
        stop_ids,
        on_logits=broken,
        size=size,
    )
    return [
        None
        if broken.within(index, answer)
        else tokenizer.decode(
            answer[:-1] if answer and answer[-1] in stop_ids else answer, skip_special_tokens=True
        ).strip()
        for index, answer in enumerate(answers)
    ]
