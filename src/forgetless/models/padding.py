"""Which rows may be read side by side: any, where a model looks past the padding between them.

Some take no mask, or count positions from where the padding begins; a row beside a longer one would
then be read as another text.  Which do is tried out on the model.  Where angles change with the
length, those of a pass are of its longest row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from forgetless.models.forward import evaluation_mode, innermost, last_logits
from forgetless.models.tree import steady
from forgetless.models.trials import difference, some_tokens, tried


def side_by_side(model: Any, lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows that one pass may hold: all of them, or those of one length.

    Args:
        model: A causal language model of transformers or peft.
        lengths: Tokens of each row, in the end.

    Yields:
        Indices of rows.
    """
    if len({*lengths}) <= 1 or looks_past_padding(model, max(lengths)):
        yield [*range(len(lengths))]
        return
    for length in sorted({*lengths}, reverse=True):
        yield [index for index, own in enumerate(lengths) if own == length]


def looks_past_padding(model: Any, length: int = 0) -> bool:
    """Whether rows of several lengths, padded on the left, are read as each alone.

    To be asked before training puts autocast around a model: what that rounds in float32 weights
    would pass for padding that is read.

    Args:
        model: A causal language model of transformers or peft; of any other it is assumed.
        length: The most tokens of a row.
    """
    if not hasattr(innermost(model), "config"):
        return True
    told = "only rows of one length are read side by side"
    return tried(model, _obstacle, told) is None and length <= steady(model)


def _obstacle(model: Any) -> str | None:
    """Why rows of several lengths cannot be read side by side; nothing if they can."""
    return difference(model, _probe, "padding makes a row another")


def _probe(model: Any) -> tuple[float, float]:
    """Largest difference that a longer row makes to a shorter one, and its logits' own spread."""
    import torch

    short, long = some_tokens(model, 6), some_tokens(model, 12)[::-1]
    with evaluation_mode(model), torch.no_grad():
        alone, beside = (
            last_logits(model, rows, len(short) - 1)[1][0].float()
            for rows in ([short], [short, long])
        )
    error = (beside - alone).square().mean(-1).sqrt().max()
    spread = (alone - alone.mean(0)).square().mean().sqrt()
    return float(error), float(spread)
