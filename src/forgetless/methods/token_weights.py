"""Weights of tokens in the loss: learn less from what the model finds unlikely.

The loss of each learned token of a new row is multiplied by a weight:

* ``stm``, selective token masking: 0 if the token's perplexity exp(loss) under the model before
  the stage is above ``threshold``, else 1.
* ``dft``, dynamic fine-tuning: the token's probability under the model as it is, a constant for
  the gradient.
* ``flow``: exp(-loss / tau) for a whole row, where loss is the mean over its learned tokens under
  the model before the stage, and tau is the median of these over the stage's rows.

Rehearsed rows keep weight 1: they were learned once, and what was forgotten of them is just what
these weights would leave out.  The weighted sum is divided by the number of all learned tokens of
the step, those of weight 0 included, so weights below 1 make the data count less beside other terms
of the loss.

Source: stm: Wu et al. 2025 (arXiv 2501.14315), whose threshold is 2.5; dft: Wu et al. 2025 (arXiv
2508.05629), equation 9; flow: Sanyal et al. 2025 (arXiv 2502.02797), algorithm 1.
Differs: stm: the paper's loss is a mean over the tokens that are left; in a sequence, the model
before the stage stands for the pre-trained one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from forgetless.methods.base import Method
from forgetless.methods.batch import IGNORED, Batch
from forgetless.methods.parts.passes import passes
from forgetless.methods.parts.soft_targets import Positions
from forgetless.methods.stage import Workbench
from forgetless.plan import Config
from forgetless.tasks.examples import Examples

if TYPE_CHECKING:
    import torch


class TokenWeightsConfig(Config):
    """Options of token weights."""

    kind: Literal["stm", "dft", "flow"] = Field(
        "stm",
        description="stm: mask unlikely tokens; dft: weigh by the token's probability; flow: weigh "
        "rows by how likely they were before the stage",
    )
    threshold: float = Field(
        2.5, ge=1, description="stm: perplexity of a token above which it is not learned"
    )
    temperature: float | None = Field(
        None, gt=0, description="flow: tau, in nats; none: the median loss of the stage's rows"
    )


class TokenWeights(Method[TokenWeightsConfig]):
    """Weigh the loss of the tokens of new rows."""

    name = "token_weights"
    Config = TokenWeightsConfig
    excludes_sharding = ""

    def __init__(self, config: TokenWeightsConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        self._positions: Positions | None = None
        self._weights: torch.Tensor | None = None  # of each learned position of new rows

    def start_stage(self, bench: Workbench, examples: Examples) -> None:
        """Weigh new rows by their losses under the model as the stage found it."""
        import torch

        if self.config.kind == "dft":
            return

        def look(batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            learned = batch.targets != IGNORED
            return batch.keys.cpu(), learned.sum(1).cpu(), batch.losses[learned].cpu()

        found = [seen for _, seen in passes(bench.model, bench.new, look)]
        keys, counts, losses = (torch.cat(parts) for parts in zip(*found, strict=True))
        self._positions = Positions.of(keys, counts)
        self._weights = self._weighed(losses, counts)

    def _weighed(self, losses: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Weights of tokens, shape (tokens,), of rows with so many learned tokens each."""
        import torch

        if self.config.kind == "stm":
            return (losses.exp() <= self.config.threshold).float()
        rows = torch.arange(len(counts)).repeat_interleave(counts)
        means = torch.zeros(len(counts), dtype=torch.float64).index_add_(0, rows, losses.double())
        means /= counts
        tau = self.config.temperature or float(np.median(means.numpy()))
        return torch.exp(-means / max(tau, 1e-30)).float()[rows]

    def weigh(self, batch: Batch) -> torch.Tensor:
        """1 on rehearsed rows."""
        import torch

        if self.config.kind == "dft":
            return torch.exp(-batch.losses.detach()).masked_fill_(batch.replayed[:, None], 1)
        assert self._positions is not None
        assert self._weights is not None
        weights = torch.ones(batch.targets.shape, device=batch.targets.device)
        found, places = self._positions.find(batch, ~batch.replayed)
        weights[found] = self._weights[places].to(weights.device)
        return weights
