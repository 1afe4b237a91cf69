"""A-GEM: never step where the loss on remembered rows of earlier tasks would rise.

Before each step, g is the accumulated gradient and r that of the mean loss on a few remembered
rows.  Where they disagree (g . r < 0), the part along r is taken out:  g - (g . r / r . r) r; else
g stays as it is.  Both are over all trained parameters at once.

Source: Chaudhry et al. 2019 (arXiv 1812.00420), equation 11.

Differs: the optimiser is the run's own; under Adam the gradient has no part against r, the step
may have a small one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from forgetless.methods.base import Method, State
from forgetless.methods.parts.buffer import Buffer, held_back_hash
from forgetless.methods.parts.passes import batch_of
from forgetless.methods.parts.pulls import trained_weights
from forgetless.methods.stage import Stage, Workbench
from forgetless.models.sharded import is_part, local
from forgetless.plan import Config
from forgetless.processes import add_up
from forgetless.tasks.examples import Examples

if TYPE_CHECKING:
    import torch


class AGEMConfig(Config):
    """Options of A-GEM."""

    rows: int = Field(4, ge=1, description="remembered rows whose gradient each step is held to")
    size: int = Field(
        1000, ge=1, description="rows remembered: a uniform sample of all rows of earlier tasks"
    )


class AGEM(Method[AGEMConfig]):
    """Take out of each gradient what would undo earlier tasks."""

    name = "agem"
    Config = AGEMConfig
    excludes_sharding = ""
    excludes = {  # noqa: RUF012 - declared once, never changed
        "joint": "joint training has every old row already",
    }

    def __init__(self, config: AGEMConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        self._memory = Buffer("reservoir", self.config.size)
        self._remembered: Examples | None = None
        self._stage: Stage | None = None
        self._step = 0

    def acts_in(self, stage: Stage) -> bool:
        """Where there is something to remember."""
        return bool(stage.earlier)

    def identity(self, stage: Stage) -> dict[str, Any]:
        """The options, and which rows are left out because they are tested."""
        return super().identity(stage) | {"held_back": held_back_hash(stage)}

    def start_stage(self, bench: Workbench, examples: Examples) -> None:
        """Tokenise what is remembered."""
        self._remembered = bench.encoder.encode(self._memory.rows(bench.stage), rehearsal=True)
        self._stage, self._step = bench.stage, 0

    def change_gradient(self, model: Any) -> None:
        """Take out what points against the gradient of remembered rows, if anything does."""
        if not self._remembered:
            return
        weights = list(trained_weights(model).values())
        own = [weight.grad for weight in weights]
        reference = self._reference(model, weights)
        agreement = _dot(own, reference)
        share = agreement / _dot(reference, reference) if agreement < 0 else 0.0
        for weight, ours, theirs in zip(weights, own, reference, strict=True):
            weight.grad = ours
            if share and theirs is not None:
                weight.grad = theirs * -share if ours is None else ours.sub_(theirs, alpha=share)

    def _reference(
        self, model: Any, weights: list[torch.nn.Parameter]
    ) -> list[torch.Tensor | None]:
        """The gradient of remembered rows; the model stays in training mode, as for new rows.

        Each of several processes takes it for itself, and all with the same dropout.
        """
        import torch

        assert self._remembered is not None
        assert self._stage is not None
        for weight in weights:
            weight.grad = None
        self._step += 1
        rng = self._stage.rng("agem", self._step)
        count = min(self.config.rows, len(self._remembered))
        drawn = rng.choice(len(self._remembered), count, replace=False).tolist()
        device = weights[0].device
        with torch.enable_grad(), torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(int(rng.integers(2**31)))
            batch = batch_of(model, [self._remembered[index] for index in drawn])
            loss = batch.losses.sum() / batch.learned_tokens
            loss.backward()  # type: ignore[no-untyped-call]
        return [weight.grad for weight in weights]

    def keep_rows(self, stage: Stage) -> None:
        """Remember rows of the stage."""
        self._memory.add(stage, stage.rng("agem/memory"))

    def state(self) -> State:
        """Which rows are remembered, and how often some were drawn."""
        return State(values={"memory": self._memory.values(), "step": self._step})

    def restore(self, state: State) -> None:
        """Take it back."""
        self._memory.restore(state.values["memory"])
        self._step = int(state.values["step"])


def _dot(left: Sequence[torch.Tensor | None], right: Sequence[torch.Tensor | None]) -> float:
    """The inner product over all parameters, in float32; of parts, over all processes."""
    import torch

    products = [
        torch.dot(local(ours).flatten().float(), local(theirs).flatten().float())
        for ours, theirs in zip(left, right, strict=True)
        if ours is not None and theirs is not None
    ]
    if not products:
        return 0.0
    stacked = torch.stack(products)
    if any(is_part(ours) for ours in left if ours is not None):
        add_up([stacked])
    return math.fsum(stacked.tolist())
