"""Continuing prompts side by side: whoever comes to an end makes room for the next.

Prompts are read as trees, so what several begin with is read once and nothing is padded.  What was
read of each is then copied into a row of one cache of keys and values, padded on the left, beside
those that are under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forgetless.models.forest import beginning, common, forest
from forgetless.models.forward import logits_at
from forgetless.models.reach import Reach
from forgetless.models.tree import Trunk, span, tree_logits

if TYPE_CHECKING:
    import torch

# Given indices of prompts and the logits of their next tokens: scores, the largest of which wins.
Choice = Callable[[Sequence[int], "torch.Tensor"], "torch.Tensor"]

WORTH_A_CHANGE = 0.25  # of the places: with fewer free, what was read is not copied for them
# Tokens of prompts that are read at a time: a pass over the weights costs a CPU as much as 100 of
# them, and in a tree all look at one another.
TOKENS_AT_A_TIME = {"cpu": 512}
TOKENS_AT_A_TIME_ELSEWHERE = 4096


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

    def join(self, *others: Rows) -> None:
        """Put other rows below these; whatever is shorter is padded on the left."""
        import torch
        from torch.nn.functional import pad

        parts = (self, *others)
        length = max(part.mask.shape[1] for part in parts)
        before = [length - part.mask.shape[1] for part in parts]
        for layers in zip(*(part.cache.layers for part in parts), strict=True):
            for name in ("keys", "values"):
                read = [getattr(layer, name) for layer in layers]
                padded = [pad(one, (0, 0, n, 0)) for one, n in zip(read, before, strict=True)]
                setattr(layers[0], name, torch.cat(padded))
        masks = [pad(part.mask, (n, 0)) for part, n in zip(parts, before, strict=True)]
        self.mask = torch.cat(masks)
        self.tokens = torch.cat([part.tokens for part in parts])
        self.positions = torch.cat([part.positions for part in parts])
        self.indices = [index for part in parts for index in part.indices]


def continued(
    model: Any,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop_ids: Sequence[int],
    chosen: Choice,
    size: int,
) -> list[list[int]]:
    """Continue prompts, each until a stop token or the limit.

    Args:
        model: A model without an obstacle (``forgetless.models.tree``), in evaluation mode.
        prompts: Token ids of each, at least one each.
        max_new_tokens: Longest continuation, in tokens, >= 1.
        stop_ids: Tokens that end a continuation.
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

    reach = min(Reach.of(model).context, span(model))
    with torch.inference_mode():
        trunk = Trunk(beginning(prompts))
        waiting = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        rows: Rows | None = None
        while waiting or rows:
            free = size - (len(rows.indices) if rows else 0)
            if waiting and free >= min(len(waiting), max(1, size * WORTH_A_CHANGE)):
                admitted = [waiting.pop() for _ in range(min(free, len(waiting)))]
                entered, logits = _read(model, trunk, admitted, prompts)
                entered.tokens, going = choose(entered.indices, logits)
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
                elif (
                    len(rows.indices) - len(going) >= WORTH_A_CHANGE * len(rows.indices)
                    or rows.mask.shape[1] >= reach  # which only rows that have ended come to
                ):
                    rows.keep(going)
    return new


def _read(
    model: Any, trunk: Trunk, indices: Sequence[int], prompts: Sequence[Sequence[int]]
) -> tuple[Rows, torch.Tensor]:
    """Read some prompts; what they go on with, shape (rows, vocabulary), is still to be chosen."""
    import torch

    device = next(model.parameters()).device.type
    most = TOKENS_AT_A_TIME.get(device, TOKENS_AT_A_TIME_ELSEWHERE)
    most = min(most, span(model) - len(trunk.ids))
    together = _together(prompts, indices, len(trunk.ids), most)
    read = [_read_tree(model, trunk, group, prompts) for group in together]
    (rows, *others), logits = zip(*read, strict=True)
    if others:
        rows.join(*others)
    return rows, torch.cat(logits)


def _together(
    prompts: Sequence[Sequence[int]], indices: Sequence[int], skip: int, most: int
) -> Iterator[list[int]]:
    """Prompts that are read as one tree: neighbours in the order of their tokens.

    Args:
        prompts: Token ids of each.
        indices: Which are to be read, at least one.
        skip: Tokens at the start of every prompt that were read already.
        most: Tokens of a tree; a longer prompt is read by itself.
    """
    group: list[int] = []
    nodes = 0
    for index in sorted(indices, key=lambda index: list(prompts[index])):
        shared = common(prompts[group[-1]], prompts[index]) if group else skip
        added = len(prompts[index]) - shared
        if group and added and nodes + added > most:
            yield group
            group, nodes, added = [], 0, len(prompts[index]) - skip
        group.append(index)
        nodes += added
    yield group


def _read_tree(
    model: Any, trunk: Trunk, indices: list[int], prompts: Sequence[Sequence[int]]
) -> tuple[Rows, torch.Tensor]:
    """Read some prompts as one tree, and copy what was read of each into its row."""
    import torch
    from transformers import DynamicCache

    from forgetless.models.growing import growing_cache

    device = next(model.parameters()).device
    shared = len(trunk.ids)
    made = forest([list(prompts[index]) for index in indices], shared)
    read = trunk.cache(model)
    read = DynamicCache() if read is None else read
    last = [path[-1] for path in made.paths]
    logits = tree_logits(model, made.ids, made.ends, made.depths, last, trunk, read)
    longest = max(map(len, made.paths))
    columns = torch.zeros((len(indices), shared + longest), dtype=torch.int64)
    mask = torch.zeros_like(columns)
    for row, path in enumerate(made.paths):
        start = longest - len(path)
        columns[row, start:] = torch.tensor([*range(shared), *(shared + node for node in path)])
        mask[row, start:] = 1
    columns, mask = columns.to(device), mask.to(device)
    cache = growing_cache()
    for number, layer in enumerate(read.layers):
        # (heads, columns, width) -> (rows, heads, columns of the row, width)
        of_rows = (each[0][:, columns].transpose(0, 1) for each in (layer.keys, layer.values))
        cache.update(*of_rows, number)
    nothing = torch.zeros(len(indices), dtype=torch.int64, device=device)
    return Rows(list(indices), cache, mask, nothing, mask.sum(1)), logits


def _step(model: Any, rows: Rows) -> torch.Tensor:
    """Read the next token of each row; the logits of the one after it, (rows, vocabulary)."""
    import torch

    rows.mask = torch.cat([rows.mask, rows.mask.new_ones((len(rows.mask), 1))], 1)
    ids, positions = rows.tokens[:, None], rows.positions[:, None]
    rows.positions = rows.positions + 1
    first = rows.positions.new_zeros(1)
    return logits_at(model, ids, rows.mask, positions, first, rows.cache)[:, 0]
