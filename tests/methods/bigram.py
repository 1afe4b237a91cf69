"""A language model whose predictions are written down: one row of logits for each token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch

from forgetless.methods.batch import Batch
from forgetless.methods.parts.passes import batch_of
from forgetless.methods.stage import Workbench
from forgetless.tasks.examples import Encoder, Examples, Origin
from forgetless.tasks.render import Encoded
from tests.training.build import settings


class Bigram(torch.nn.Module):
    """The logits of the next token are the row of the last one in a table."""

    def __init__(self, table: Sequence[Sequence[float]]) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(torch.tensor(table, dtype=torch.float32))

    def forward(self, input_ids: Any, attention_mask: Any, use_cache: bool) -> Any:
        return SimpleNamespace(logits=self.table[input_ids])


def random_bigram(vocabulary: int = 12, seed: int = 0) -> Bigram:
    """Some table."""
    generator = torch.Generator().manual_seed(seed)
    return Bigram((2 * torch.randn(vocabulary, vocabulary, generator=generator)).tolist())


def answer(*ids: int, asked: int = 1) -> Encoded:
    """An example of which all but the first so many tokens are learned."""
    return Encoded(list(ids), [place >= asked for place in range(len(ids))])


def packed(encoded: Sequence[Encoded]) -> Examples:
    """Examples of one task."""
    return Examples.of(encoded, [Origin("task", str(n)) for n in range(len(encoded))])


def bench_of(model: Any, new: Sequence[Encoded], stage: Any = None) -> Workbench:
    """A bench whose new rows are these."""
    bench = Workbench(stage, model, SimpleNamespace(pad_token_id=0), Encoder(None, settings()))
    bench.__dict__["new"] = packed(new)  # where cached_property keeps it
    return bench


def batch(
    model: Any,
    encoded: Sequence[Encoded],
    replayed: Sequence[int] = (),
    learned_tokens: float | None = None,
) -> Batch:
    """A batch as training makes it; rows named are rehearsed."""
    made = batch_of(model, encoded)
    rehearsed = torch.tensor([row in replayed for row in range(len(encoded))])
    return replace(made, replayed=rehearsed, learned_tokens=learned_tokens or made.learned_tokens)
