"""How the stages of a plan are trained and scored."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from forgetless.errors import PlanError
from forgetless.plan.base import Config

# Of what transformers' Trainer reports to: those that take numbers, by the package of that name.
Tracker = Literal[
    "tensorboard",
    "wandb",
    "mlflow",
    "trackio",
    "comet_ml",
    "neptune",
    "clearml",
    "dvclive",
    "swanlab",
]
# Settings that change no weights: runs that differ in them alone share their work.
_WITHOUT_EFFECT = {"checkpoint_every", "scoring_batch_size", "report_to"}


class TrainingConfig(Config):
    """How one stage is trained; the same for every stage."""

    epochs: float = Field(default=3, gt=0, description="passes over a stage's new rows")
    equal_tokens: bool = Field(
        default=False,
        description="rehearsed rows take the place of new ones, so that a stage learns as many "
        "tokens with rehearsal as without",
    )
    steps: int | None = Field(default=None, ge=1, description="optimiser steps; replaces epochs")
    learning_rate: float = Field(default=1e-4, gt=0, description="peak learning rate of AdamW")
    batch_size: int = Field(default=8, ge=1, description="rows in one forward pass")
    accumulation: int = Field(default=1, ge=1, description="forward passes in one optimiser step")
    max_length: int = Field(default=1024, ge=8, description="longest row, in tokens")
    too_long: Literal["error", "drop", "truncate"] = Field(
        default="error", description="what happens to training rows longer than max_length"
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        default="linear", description="learning rate after the warm-up"
    )
    warmup: float = Field(
        default=0.1, ge=0, lt=1, description="share of the steps with a rising rate"
    )
    weight_decay: float = Field(default=0.0, ge=0, description="AdamW's decoupled weight decay")
    max_grad_norm: float = Field(
        default=1.0, ge=0, description="gradient norm clipped to; 0: not clipped"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="arithmetic of the forward pass; auto: bfloat16 on CUDA, float32 elsewhere",
    )
    gradient_checkpointing: bool = Field(
        default=False, description="less memory for about 1.3x the time"
    )
    checkpoint_every: int = Field(
        default=200, ge=1, description="optimiser steps between checkpoints"
    )
    scoring_batch_size: int = Field(default=32, ge=1, description="sequences in one scoring pass")
    report_to: tuple[Tracker, ...] = Field(
        default=(), description="trackers that get every step, and the scores after every stage"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto", description="where to compute"
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="seed of everything that is drawn")
    hold_out_seed: int | None = Field(
        default=None,
        ge=0,
        lt=2**32,
        description="seed of the rows that are held out as test items; none: as seed",
    )

    def decisive(self) -> dict[str, Any]:
        """Those of the settings that decide the weights, as plain data."""
        return self.model_dump(mode="json", exclude=_WITHOUT_EFFECT)

    @property
    def rows_per_step(self) -> int:
        """Rows that an optimiser step learns from, over all processes."""
        return self.batch_size * self.accumulation

    def batch_of(self, processes: int) -> tuple[int, int]:
        """Rows in one forward pass of each process, and its passes in one optimiser step.

        As few passes as there can be with no more rows at a time than in one process.

        Raises:
            PlanError: if so many processes cannot share the rows of a step.

        Example:
            >>> TrainingConfig(batch_size=4, accumulation=4).batch_of(2)
            (4, 2)
        """
        rows, odd = divmod(self.rows_per_step, processes)
        if odd or not rows:
            raise PlanError(
                f"training: a step has {self.rows_per_step} rows (batch_size x accumulation), "
                f"which {processes} processes cannot share equally",
                fix=f"--set training.accumulation={processes}",
            )
        size = next(size for size in range(min(rows, self.batch_size), 0, -1) if not rows % size)
        return size, rows // size

    @property
    def split_seed(self) -> int:
        """Decides which rows are held out."""
        return self.seed if self.hold_out_seed is None else self.hold_out_seed

    def in_bfloat16(self, device: str) -> bool:
        """Whether the forward pass computes in bfloat16 on a device."""
        return self.precision == "bfloat16" or (self.precision == "auto" and device == "cuda")
