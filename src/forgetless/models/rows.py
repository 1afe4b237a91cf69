"""Logits of the rows of a batch, where what rows begin with alike is computed once.

Rows of chats begin with the same template, and rows of one task often with the same instruction: in
short questions and answers that is half of all tokens.  As a forest they are read, and learned
from, once; nothing is padded; and the last token of a row, which predicts nothing, is not read.
Values and gradients are those of padded rows, within rounding.  Where rows are padded and the model
reads padding, those of each length have a pass of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from forgetless.models.forest import Cost, forest, groves
from forgetless.models.forward import innermost, logits_at
from forgetless.models.padding import looks_past_padding, side_by_side
from forgetless.models.sharded import in_parts
from forgetless.models.tree import Trunk, obstacle, span, tree_logits
from forgetless.processes import count

if TYPE_CHECKING:
    import torch

# Measured forwards and backwards on a CPU with 135M parameters; both depend little on the size of
# the model, whose width is in the work for a token as well.  Elsewhere rows are padded.
COST = {"cpu": Cost(again=100, pairs=2700)}


def logits_of_rows(
    model: Any,
    ids: torch.Tensor,
    mask: torch.Tensor,
    positions: torch.Tensor,
    columns: torch.Tensor,
    wanted: torch.Tensor,
) -> torch.Tensor:
    """Next-token logits of padded rows, at some columns.

    Args:
        model: A causal language model of transformers or peft.
        ids: Token ids, shape (batch, length).
        mask: 1 on tokens, 0 on padding, shape (batch, length).
        positions: Position ids, shape (batch, length).
        columns: Column indices, shape (k,).
        wanted: Where a row's logits are wanted, shape (batch, k); elsewhere they mean nothing.

    Returns:
        Logits, shape (batch, k, vocabulary).
    """
    rows = _rows(model, ids, mask, positions, columns, wanted)
    together = _together(model, rows, ids) if rows else None
    if rows is None or together is None:
        return _padded(model, ids, mask, positions, columns)
    import torch

    starts = mask.argmax(1).tolist()
    read = []
    places = torch.zeros(wanted.shape, dtype=torch.int64)  # any row where none is wanted
    known = 0
    for indices in together:
        made = forest([rows[index] for index in indices])
        nodes: dict[int, int] = {}  # where logits are read, and their place among those
        for index, path in zip(indices, made.paths, strict=True):
            for place in wanted[index].nonzero().squeeze(-1).tolist():
                node = path[int(columns[place]) - starts[index]]
                places[index, place] = known + nodes.setdefault(node, len(nodes))
        read.append(tree_logits(model, made.ids, made.ends, made.depths, [*nodes], Trunk()))
        known += len(nodes)
    # (nodes read, vocabulary) -> (batch, k, vocabulary)
    return torch.cat(read).index_select(0, places.flatten().to(ids.device)).view(*places.shape, -1)


def _padded(
    model: Any,
    ids: torch.Tensor,
    mask: torch.Tensor,
    positions: torch.Tensor,
    columns: torch.Tensor,
) -> torch.Tensor:
    """Logits of padded rows: in one pass, or in one for each length where padding would be read."""
    import torch

    inner = getattr(model, "module", model)
    length, lengths = ids.shape[1], mask.sum(1).tolist()
    # Processes that train together must make as many passes each.
    one_pass = min(lengths) == length or model is not inner or (count() > 1 and in_parts(inner))
    if one_pass or looks_past_padding(inner, length):
        return logits_at(model, ids, mask, positions, columns)
    found: dict[int, torch.Tensor] = {}
    for rows in side_by_side(inner, lengths):
        inside = mask[rows].any(0)  # shape (length,)
        places = (inside.cumsum(0) - 1).clamp(min=0)[columns]  # any where padding predicts
        own_ids, own_mask, own = (each[rows][:, inside] for each in (ids, mask, positions))
        found |= zip(rows, logits_at(model, own_ids, own_mask, own, places), strict=True)
    return torch.stack([found[row] for row in range(len(ids))])


def _rows(
    model: Any,
    ids: torch.Tensor,
    mask: torch.Tensor,
    positions: torch.Tensor,
    columns: torch.Tensor,
    wanted: torch.Tensor,
) -> list[list[int]] | None:
    """Each row's tokens up to the last whose logits are wanted; None where padding is the way."""
    import torch
    from transformers import PreTrainedModel

    inner = getattr(model, "module", model)
    if ids.device.type not in COST or len(ids) < 2 or in_parts(inner):
        return None  # processes with parts of the weights must make as many passes each
    # What is left out at random would be left out of all rows alike.
    if not isinstance(innermost(inner), PreTrainedModel) or (inner.training and _drops_out(inner)):
        return None
    starts, lengths = mask.argmax(1), mask.sum(1)
    places = torch.arange(ids.shape[1], device=ids.device)
    inside = (places >= starts[:, None]) & (places < (starts + lengths)[:, None])
    counted = (places - starts[:, None])[inside].equal(positions[inside])
    if not counted or not inside.equal(mask.bool()):  # several sequences in a row, or gaps
        return None
    if (wanted & ~inside[:, columns]).any():  # what padding predicts, no row says
        return None
    ends = (wanted * (columns + 1)).amax(1) if len(columns) else starts
    return [
        row[start:end]
        for row, start, end in zip(ids.tolist(), starts.tolist(), ends.tolist(), strict=True)
    ]


def _together(model: Any, rows: Sequence[list[int]], ids: torch.Tensor) -> list[list[int]] | None:
    """Which rows stand in one forest, those of which nothing is wanted in none; None: padded."""
    inner = getattr(model, "module", model)
    asked = [index for index, row in enumerate(rows) if row]
    if not asked or obstacle(inner) is not None:
        return None
    cost = COST[ids.device.type]
    price, groups = groves([rows[index] for index in asked], cost)
    together = [[asked[place] for place in group] for group in groups]
    longest = max(sum(len(rows[index]) for index in group) for group in together)
    if price >= cost.padded(*ids.shape) or longest > span(inner):
        return None
    if model is not inner and len(together) > 1:
        return None  # processes that train together must make as many passes each
    return together


def _drops_out(model: Any) -> bool:
    """Whether a pass in training mode leaves anything out at random."""
    from torch.nn import Dropout

    config = vars(innermost(model).config.get_text_config())
    named = any(
        "drop" in name and isinstance(value, float) and value > 0 for name, value in config.items()
    )
    return named or any(isinstance(m, Dropout) and m.p > 0 for m in model.modules())
