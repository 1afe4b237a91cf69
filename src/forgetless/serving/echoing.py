"""What each token of a given text is worth, with as many distributions in memory as one block has.

With a vocabulary of 150,000 tokens, the log-probabilities of 8,000 tokens at once would take 5 GB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from forgetless.models.forward import logits_at
from forgetless.models.load import LoadedModel
from forgetless.models.tree import obstacle, span
from forgetless.serving.generating import Token, nobody_left
from forgetless.serving.texts import Reading

if TYPE_CHECKING:
    import torch

BLOCK = 256  # tokens


def echoed(
    loaded: LoadedModel, ids: Sequence[int], tops: int, left: Callable[[], bool] = nobody_left
) -> list[Token]:
    """The tokens of a text that is there already, each with what it was worth.

    Args:
        loaded: The model.
        ids: Its tokens.
        tops: How many likeliest tokens to give at each place.
        left: Is asked after each block whether whoever wanted it has left, which ends it.
    """
    reading = Reading(loaded.tokenizer)
    tokens = [Token(reading.add(ids[0]), None)]
    for block in _distributions(loaded, ids):
        for row in block[: len(ids) - len(tokens)]:  # the last of all predicts what is not there
            token = ids[len(tokens)]
            likeliest = reading.likeliest(row, tops)
            tokens.append(Token(reading.add(token), float(row[token]), likeliest))
        if left():
            break
    return tokens


def _distributions(loaded: LoadedModel, ids: Sequence[int]) -> Iterator[torch.Tensor]:
    """Log-probabilities of what follows each token, in blocks of shape (tokens, vocabulary).

    A block is read after what is kept of those before it.  Where a model cannot be trusted with
    that, it reads the whole text for each block.
    """
    import torch
    from transformers import DynamicCache

    model = loaded.model
    device = next(model.parameters()).device
    goes_on = obstacle(model) is None and len(ids) <= span(model)
    cache = DynamicCache() if goes_on else None
    for start in range(0, len(ids), BLOCK):
        end = min(start + BLOCK, len(ids))
        read = torch.arange(start if goes_on else 0, end if goes_on else len(ids), device=device)
        inputs = torch.tensor([list(ids)], device=device)[:, read]
        mask = torch.ones((1, int(read[-1]) + 1), dtype=torch.int64, device=device)
        wanted = torch.arange(start, end, device=device) - read[0]
        with torch.inference_mode():
            logits = logits_at(model, inputs, mask, read[None], wanted, cache)[0]
            rows = torch.log_softmax(logits.float(), dim=-1).cpu()
        yield rows
