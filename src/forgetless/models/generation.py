"""Continuing prompts, batched: the likeliest tokens, or tokens drawn from the model.

A token is drawn as the largest of logits + temperature * Gumbel noise (Gumbel 1954), with noise
from a generator of its own: torch's global one is neither read nor moved.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from forgetless.models.blocks import weights_in_blocks
from forgetless.models.continuing import Choice, continued
from forgetless.models.forward import PADDING, pad_left
from forgetless.models.padding import side_by_side
from forgetless.models.tree import obstacle, span

if TYPE_CHECKING:
    import torch

CHOICES_WORTH_BLOCKS = 8  # putting weights into blocks takes about what it saves in so many


class NotNumbers:
    """Watches logits: which prompts met one that is no number, and when."""

    def __init__(self) -> None:
        self._met: Counter[int] = Counter()
        self._first: dict[int, int] = {}

    def __call__(self, indices: Sequence[int], logits: torch.Tensor) -> None:
        """For ``on_logits``."""
        # the largest of values with one that is no number is none; quicker than to look at each
        for place in logits.amax(-1).isnan().nonzero().squeeze(-1).tolist():
            self._first.setdefault(indices[place], self._met[indices[place]])
        self._met.update(indices)

    def within(self, index: int, tokens: Sequence[int]) -> bool:
        """Whether one of the tokens with which a prompt was continued came of such logits."""
        return self._first.get(index, len(tokens)) < len(tokens)


def continuations(
    model: Any,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop_ids: Sequence[int],
    *,
    temperature: float = 0.0,
    seed: int = 0,
    on_logits: Callable[[Sequence[int], torch.Tensor], None] | None = None,
    stopping: Any = None,
    size: int | None = None,
) -> list[list[int]]:
    """Continue prompts until a stop token.

    Args:
        model: A causal language model in evaluation mode, on its device.
        prompts: Token ids of each prompt, at least one each.
        max_new_tokens: Longest continuation, in tokens.
        stop_ids: Tokens that end a continuation.
        temperature: Tokens are drawn from the softmax of logits / temperature; 0: the likeliest.
        seed: Seed of the draws.
        on_logits: Is given indices of prompts that are still continued and the logits of their next
            tokens, shape (indices, vocabulary), before these are chosen.
        stopping: Other reasons to stop, as transformers' ``StoppingCriteriaList``.
        size: Most prompts that are continued at a time; None: all.

    Returns:
        The new tokens of each, in order; the stop token is the last of those that came to one.
    """
    import torch

    noise = torch.Generator(next(model.parameters()).device).manual_seed(seed)
    layout = ExitStack()
    choices = 0

    def chosen(indices: Sequence[int], logits: torch.Tensor) -> torch.Tensor:
        """Scores whose largest is the next token."""
        nonlocal choices
        choices += 1
        if choices == CHOICES_WORTH_BLOCKS:
            layout.enter_context(weights_in_blocks(model))
        if on_logits is not None:
            on_logits(indices, logits)
        if temperature == 0:
            return logits
        # For all prompts, so that what one is given does not depend on when another ends.
        exponential = logits.new_empty(len(prompts), logits.shape[-1]).exponential_(generator=noise)
        # noise times temperature, as logits over a tiny one would overflow; the largest is the same
        return logits - temperature * exponential[list(indices)].log_()

    size = size or len(prompts)
    longest = max(map(len, prompts), default=0) + max_new_tokens
    with layout:
        # Behind a window, what stands beside a prompt in a tree would take its beginning's place.
        if stopping is None and obstacle(model) is None and longest <= span(model):
            return continued(model, prompts, max_new_tokens, stop_ids, chosen, size)
        new: list[list[int]] = [[] for _ in prompts]
        order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
        for start in range(0, len(order), size):
            batch = order[start : start + size] if len(order) > size else [*range(len(prompts))]
            ends = [len(prompts[index]) + max_new_tokens for index in batch]
            for places in side_by_side(model, ends):
                some = [batch[place] for place in places]
                found = _by_transformers(
                    model, prompts, some, max_new_tokens, stop_ids, chosen, stopping
                )
                for index, tokens in zip(some, found, strict=True):
                    new[index] = tokens
        return new


def _by_transformers(
    model: Any,
    prompts: Sequence[Sequence[int]],
    indices: Sequence[int],
    max_new_tokens: int,
    stop_ids: Sequence[int],
    chosen: Choice,
    stopping: Any,
) -> list[list[int]]:
    """Continue some prompts in one batch: what a model needs for that, transformers knows."""
    from transformers import GenerationConfig, LogitsProcessorList

    device = next(model.parameters()).device
    padded = pad_left([prompts[index] for index in indices])
    config = GenerationConfig(
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=list(stop_ids),
        # behind an answer that `stopping` ended, which is cut where it stands
        pad_token_id=next(iter(stop_ids), PADDING),
        use_cache=True,
    )
    with _own_settings_set_aside(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokens = model.generate(
            input_ids=padded.ids.to(device),
            attention_mask=padded.mask.to(device),
            generation_config=config,
            logits_processor=LogitsProcessorList([lambda _ids, logits: chosen(indices, logits)]),
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
