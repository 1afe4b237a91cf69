"""Continuing prompts side by side: whoever comes to an end makes room for the next.

What all prompts begin with is read once.  Rows stand padded on the left in one cache of keys and
values; new ones are read together and put beside those that are under way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forgetless.models.forest import common
from forgetless.models.forward import logits_at, pad_left
from forgetless.models.tree import Trunk

if TYPE_CHECKING:
    import torch

# Given indices of prompts and the logits of their next tokens: scores, the largest of which wins.
Choice = Callable[[Sequence[int], "torch.Tensor"], "torch.Tensor"]

WORTH_A_TRUNK = 16  # tokens; fewer are read with each prompt
WORTH_A_CHANGE = 0.25  # of the places: with fewer free, what was read is not copied for them


@dataclass
class Rows:
    """Prompts under way.

    Attributes:
        indices: Which they are.
        cache: Keys and values of what was read of them.
        mask: 1 where something was read, 0 on padding, shape (rows, read), int64.
        tokens: The next token of each, not read yet, shape (rows,).
        positions: Its position, shape (rows,).
    """

    indices: list[int]
    cache: Any
    mask: torch.Tensor
    tokens: torch.Tensor
    positions: torch.Tensor

    def keep(self, places: Sequence[int]) -> None:
        """Let go of all others, and of columns that are padding for all that stay."""
        import torch

        kept = torch.tensor(places, device=self.mask.device)
        self.mask = self.mask[kept]
        first = int(self.mask.any(0).int().argmax())
        self.mask = self.mask[:, first:]
        for layer in self.cache.layers:
            layer.keys = layer.keys[kept, :, first:]
            layer.values = layer.values[kept, :, first:]
        self.tokens, self.positions = self.tokens[kept], self.positions[kept]
        self.indices = [self.indices[place] for place in places]

    def join(self, others: Rows) -> None:
        """Put other rows below these; whatever is shorter is padded on the left."""
        import torch
        from torch.nn.functional import pad

        length = max(self.mask.shape[1], others.mask.shape[1])
        here, there = length - self.mask.shape[1], length - others.mask.shape[1]
        self.mask = torch.cat([pad(self.mask, (here, 0)), pad(others.mask, (there, 0))])
        for layer, other in zip(self.cache.layers, others.cache.layers, strict=True):
            for name in ("keys", "values"):
                parts = [
                    pad(getattr(layer, name), (0, 0, here, 0)),
                    pad(getattr(other, name), (0, 0, there, 0)),
                ]
                setattr(layer, name, torch.cat(parts))
        self.tokens = torch.cat([self.tokens, others.tokens])
        self.positions = torch.cat([self.positions, others.positions])
        self.indices += others.indices


def continued(
    model: Any,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop_ids: Sequence[int],
    pad_id: int,
    chosen: Choice,
    size: int,
) -> list[list[int]]:
    """Continue prompts, each until a stop token or the limit.

    Args:
        model: A model without an obstacle (``forgetless.models.tree``), in evaluation mode.
        prompts: Token ids of each, at least one each.
        max_new_tokens: Longest continuation, in tokens, >= 1.
        stop_ids: Tokens that end a continuation.
        pad_id: Token id used for padding.
        chosen: Says how a token is chosen.
        size: Most prompts under way at a time.

    Returns:
        The new tokens of each, in order, the stop token included.
    """
    import torch

    new: list[list[int]] = [[] for _ in prompts]
    ended: set[int] = set()

    def choose(indices: Sequence[int], logits: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
        """Their next tokens, and the places of those that go on."""
        tokens = chosen(indices, logits.float()).argmax(-1)
        for index, token in zip(indices, tokens.tolist(), strict=True):
            if index not in ended:  # it may stand there for a while yet
                new[index].append(token)
                if token in stop_ids or len(new[index]) == max_new_tokens:
                    ended.add(index)
        return tokens, [place for place, index in enumerate(indices) if index not in ended]

    with torch.inference_mode():
        trunk = Trunk(_beginning(prompts))
        waiting = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        rows: Rows | None = None
        while waiting or rows:
            free = size - (len(rows.indices) if rows else 0)
            if waiting and free >= min(len(waiting), max(1, size * WORTH_A_CHANGE)):
                admitted = [waiting.pop() for _ in range(min(free, len(waiting)))]
                entered, logits = _read(model, trunk, admitted, prompts, pad_id)
                entered.tokens, going = choose(admitted, logits)
                if going:
                    entered.keep(going)
                    if rows:
                        rows.join(entered)
                    else:
                        rows = entered
            if rows:
                logits = _step(model, rows)
                rows.tokens, going = choose(rows.indices, logits)
                if not going:
                    rows = None
                elif len(rows.indices) - len(going) >= WORTH_A_CHANGE * len(rows.indices):
                    rows.keep(going)
    return new


def _beginning(prompts: Sequence[Sequence[int]]) -> Sequence[int]:
    """Tokens that all prompts begin with, each with one more behind; none if that saves little."""
    first, last = min(prompts, key=list), max(prompts, key=list)
    shared = min(common(first, last), min(map(len, prompts)) - 1)
    return prompts[0][:shared] if len(prompts) > 1 and shared >= WORTH_A_TRUNK else ()


def _read(
    model: Any,
    trunk: Trunk,
    indices: list[int],
    prompts: Sequence[Sequence[int]],
    pad_id: int,
) -> tuple[Rows, torch.Tensor]:
    """Read some prompts; what they go on with, shape (indices, vocabulary), is still to be chosen.

    What all prompts begin with lies behind the padding of a row only in the order of its columns:
    positions are counted without it.
    """
    import torch

    from forgetless.models.growing import growing_cache

    device = next(model.parameters()).device
    shared = len(trunk.ids)
    cache = growing_cache()
    read = trunk.cache(model)
    for number, layer in enumerate(read.layers if read is not None else ()):
        several = (len(indices), -1, -1, -1)
        cache.update(
            layer.keys[:, :, :shared].expand(several),
            layer.values[:, :, :shared].expand(several),
            number,
        )
    padded = pad_left([prompts[index][shared:] for index in indices], pad_id)
    before = torch.ones((len(indices), shared), dtype=torch.int64)
    mask = torch.cat([before, padded.mask], 1).to(device)
    positions = (padded.positions + shared).to(device)
    last = torch.tensor([positions.shape[1] - 1], device=device)
    logits = logits_at(model, padded.ids.to(device), mask, positions, last, cache)[:, 0]
    nothing = torch.zeros(len(indices), dtype=torch.int64, device=device)
    return Rows(list(indices), cache, mask, nothing, positions[:, -1] + 1), logits


def _step(model: Any, rows: Rows) -> torch.Tensor:
    """Read the next token of each row; the logits of the one after it, (rows, vocabulary)."""
    import torch

    rows.mask = torch.cat([rows.mask, rows.mask.new_ones((len(rows.mask), 1))], 1)
    ids, positions = rows.tokens[:, None], rows.positions[:, None]
    rows.positions = rows.positions + 1
    first = rows.positions.new_zeros(1)
    return logits_at(model, ids, rows.mask, positions, first, rows.cache)[:, 0]
