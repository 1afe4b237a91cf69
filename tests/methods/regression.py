"""Softmax regression as a language model: everything about it can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch

from forgetless.methods.stage import Stage, Workbench
from forgetless.tasks.examples import Encoder, Examples, Origin
from forgetless.tasks.render import Encoded
from tests.training.build import colour_task, one_stage_a_task, settings

VOCABULARY, WIDTH = 5, 3


class Regression(torch.nn.Module):
    """The logits after a token are W x, with x the token's fixed features."""

    def __init__(
        self, dropout: float = 0.0, dtype: torch.dtype = torch.float32, width: int = WIDTH
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.features: torch.Tensor
        features = torch.randn(VOCABULARY, width, generator=generator, dtype=torch.float64)
        self.register_buffer("features", features.to(dtype))
        self.head = torch.nn.Linear(width, VOCABULARY, bias=False, dtype=dtype)
        with torch.no_grad():
            self.head.weight.copy_(torch.randn(VOCABULARY, width, generator=generator))
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, input_ids: torch.Tensor, attention_mask: Any, use_cache: bool) -> Any:
        return SimpleNamespace(logits=self.head(self.dropout(self.features[input_ids])))

    def get_input_embeddings(self) -> Any:
        return SimpleNamespace(weight=self.features)


def bench(model: Any, examples: Sequence[Encoded], stage: Stage | None = None) -> Workbench:
    """A workbench whose new rows are these examples."""
    stage = stage or one_stage_a_task([colour_task("any")])[0]
    tokenizer = SimpleNamespace(pad_token_id=0)
    found = Workbench(stage, model, tokenizer, Encoder(tokenizer, settings()))
    origins = [Origin("any", str(number)) for number in range(len(examples))]
    found.__dict__["new"] = Examples.of(examples, origins)
    return found
