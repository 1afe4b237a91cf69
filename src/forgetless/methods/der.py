"""Dark experience replay: rehearsed rows keep the predictions they had, not only their answers.

At the end of a stage the model's predictions at the learned positions of the stage's rows are kept:
the top-k log-probabilities and the mass of all other tokens.  When such a row is rehearsed in a
later stage, alpha * (sum of KL(kept || model) over its learned positions, over k + 1 bins) /
(learned tokens of the step) is added to the loss.  The cross-entropy that replay gives the row is
the second term of DER++; its weight beta is the ratio of replay.

Source: Buzzega et al. 2020 (arXiv 2004.07211), DER++.
Differs: the divergence that the paper sets out from instead of the squared distance of all logits,
which would need the whole vocabulary for every position; predictions are those at the end of the
stage, not those at the step in which a row entered the buffer; an old row of a batch counts once,
where the paper draws separate batches for the two terms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from forgetless.methods.base import Method, State
from forgetless.methods.batch import Batch
from forgetless.methods.parts.soft_targets import SoftTargets
from forgetless.methods.stage import Stage, Workbench
from forgetless.plan import Config

if TYPE_CHECKING:
    import torch


class DERConfig(Config):
    """Options of dark experience replay."""

    alpha: float = Field(0.5, ge=0, description="factor of the divergence; 0: plain replay")
    top_k: int = Field(32, ge=1, description="tokens whose probability is kept at each position")
    size: int = Field(
        1000, ge=1, description="rows of each stage whose predictions are kept, drawn at random"
    )


class DER(Method[DERConfig]):
    """Hold old rows to the predictions made after learning them."""

    name = "der"
    Config = DERConfig
    excludes_sharding = ""
    heeds_emphasis = True
    requires = {  # noqa: RUF012 - declared once, never changed
        "replay": "its predictions are those of old rows, which replay draws"
    }

    def __init__(self, config: DERConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        self._kept: SoftTargets | None = None
        self.learns_from_model = self.config.alpha > 0

    def acts_in(self, stage: Stage) -> bool:
        """Once an earlier stage left predictions."""
        return self.config.alpha > 0 and bool(stage.earlier)

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """The divergence of rehearsed rows whose predictions are kept."""
        import torch

        if self._kept is None or self.config.alpha == 0:
            return torch.zeros((), device=batch.logits.device)
        summed = self._kept.divergence(batch, batch.replayed)
        return self.emphasis * self.config.alpha * summed / batch.learned_tokens

    def end_stage(self, bench: Workbench) -> None:
        """Predict the stage's rows, or a part of them; of a row met again the newest are used."""
        rows = len(bench.new)
        chosen = bench.stage.rng("der").permutation(rows)[: self.config.size].tolist()
        found = SoftTargets.of(bench.model, bench.new, chosen, self.config.top_k)
        self._kept = found if self._kept is None else self._kept.followed_by(found)

    def state(self) -> State:
        """The predictions; the model that made them is gone."""
        return State(self._kept.tensors() if self._kept is not None else {})

    def restore(self, state: State) -> None:
        """Take the predictions back."""
        self._kept = SoftTargets.from_tensors(state.tensors) if state.tensors else None
