"""Continuing prompts, batched: the likeliest tokens, or tokens drawn from the model.

A token is drawn as the largest of logits/temperature + Gumbel noise (Gumbel 1954), with noise from
a generator of its own: torch's global one is neither read nor moved.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from forgetless.models.forest import common
from forgetless.models.forward import logits_at, pad_left
from forgetless.models.tree import Trunk, obstacle

if TYPE_CHECKING:
    import torch

# Given indices of prompts and the logits of their next tokens: scores, the largest of which wins.
Choice = Callable[[Sequence[int], "torch.Tensor"], "torch.Tensor"]

WORTH_A_TRUNK = 16  # tokens; fewer are read with each prompt
WORTH_LETTING_GO = 0.75  # share of the prompts that go on: what was read is copied without the rest


class NotNumbers:
    """Watches logits: which prompts met one that is no number, and when."""

    def __init__(self) -> None:
        self._steps = count()
        self._first: dict[int, int] = {}

    def __call__(self, indices: Sequence[int], logits: torch.Tensor) -> None:
        """For ``on_logits``."""
        step = next(self._steps)
        for place in logits.isnan().any(-1).nonzero().squeeze(-1).tolist():
            self._first.setdefault(indices[place], step)

    def within(self, index: int, tokens: Sequence[int]) -> bool:
        """Whether one of the tokens with which a prompt was continued came of such logits."""
        return self._first.get(index, len(tokens)) < len(tokens)


def continuations(
    model: Any,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop_ids: Sequence[int],
    pad_id: int,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    on_logits: Callable[[Sequence[int], torch.Tensor], None] | None = None,
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
        on_logits: Is given indices of prompts that are still continued and the logits of their next
            tokens, shape (indices, vocabulary), before these are chosen.
        stopping: Other reasons to stop, as transformers' ``StoppingCriteriaList``.

    Returns:
        The new tokens of each, in order; the stop token is the last of those that came to one.
    """
    import torch

    noise = torch.Generator(next(model.parameters()).device).manual_seed(seed)

    def chosen(indices: Sequence[int], logits: torch.Tensor) -> torch.Tensor:
        """Scores whose largest is the next token."""
        if on_logits is not None:
            on_logits(indices, logits)
        if temperature == 0:
            return logits
        # For all prompts, so that what one is given does not depend on when another ends.
        exponential = logits.new_empty(len(prompts), logits.shape[-1]).exponential_(generator=noise)
        return logits / temperature - exponential[list(indices)].log_()

    if stopping is None and obstacle(model) is None:
        return _step_by_step(model, prompts, max_new_tokens, stop_ids, pad_id, chosen)
    return _by_transformers(model, prompts, max_new_tokens, stop_ids, pad_id, chosen, stopping)


def _step_by_step(
    model: Any,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop_ids: Sequence[int],
    pad_id: int,
    chosen: Choice,
) -> list[list[int]]:
    """Read what all prompts begin with once, and let go of those that have come to their end."""
    import torch
    from transformers import DynamicCache

    device = next(model.parameters()).device
    new: list[list[int]] = [[] for _ in prompts]
    left = list(range(len(prompts)))
    with torch.inference_mode():
        trunk = Trunk(_beginning(prompts))
        cache = trunk.cache(model)
        if cache is None:
            cache = DynamicCache()
        else:
            cache.batch_repeat_interleave(len(prompts))
        padded = pad_left([prompt[len(trunk.ids) :] for prompt in prompts], pad_id)
        ids = padded.ids.to(device)
        before = torch.ones((len(prompts), len(trunk.ids)), dtype=torch.int64)
        mask = torch.cat([before, padded.mask], 1).to(device)
        positions = (padded.positions + len(trunk.ids)).to(device)
        for _ in range(max_new_tokens):
            wanted = torch.tensor([ids.shape[1] - 1], device=device)
            logits = logits_at(model, ids, mask, positions, wanted, cache)[:, 0].float()
            tokens = chosen(left, logits).argmax(-1)
            for index, token in zip(left, tokens.tolist(), strict=True):
                new[index].append(token)
            going = [place for place, index in enumerate(left) if new[index][-1] not in stop_ids]
            if not going:
                break
            ids, positions = tokens[:, None], positions[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones((len(mask), 1))], 1)
            if len(going) <= WORTH_LETTING_GO * len(left):
                kept = torch.tensor(going, device=device)
                cache.batch_select_indices(kept)
                ids, positions, mask = ids[kept], positions[kept], mask[kept]
                left = [left[place] for place in going]
    return [_until(tokens, stop_ids) for tokens in new]


def _beginning(prompts: Sequence[Sequence[int]]) -> Sequence[int]:
    """Tokens that all prompts begin with, each with one more behind; none if that saves little."""
    first, last = min(prompts, key=list), max(prompts, key=list)
    shared = min(common(first, last), min(map(len, prompts)) - 1)
    return prompts[0][:shared] if len(prompts) > 1 and shared >= WORTH_A_TRUNK else ()


def _by_transformers(
    model: Any,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop_ids: Sequence[int],
    pad_id: int,
    chosen: Choice,
    stopping: Any,
) -> list[list[int]]:
    """Whatever a model needs for its next token, transformers knows."""
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
    every = range(len(prompts))
    with _own_settings_set_aside(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokens = model.generate(
            input_ids=padded.ids.to(device),
            attention_mask=padded.mask.to(device),
            generation_config=config,
            logits_processor=LogitsProcessorList([lambda _ids, logits: chosen(every, logits)]),
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
