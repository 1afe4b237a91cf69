"""What training a stage took, here or at a provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """What training a stage took; None where it is not known, as of a provider's job.

    Attributes:
        steps: Optimiser steps.
        epochs: Passes over the new rows.
        rows: Rows learned from, repeats counted.
        tokens: Tokens of those rows, prompts included.
        replayed_tokens: Tokens of rehearsed rows among them.
        replay_share: Their share, in [0, 1].
        learning_rate: Peak learning rate.
        batch_size: Rows in one optimiser step.
        first_loss: Loss of the first step, nats per learned token.
        final_loss: Mean loss of the last tenth of the steps.
        seconds: Wall time.
        cpu_seconds: CPU time over all cores.
        peak_memory_mb: Largest resident size of the process so far.
        trainable_parameters: Parameters that were trained.
        pull_norm: Mean norm of what penalties on the weights added to the gradient, over the steps
            in which they did; None if none did.
        found: What methods found out, by their names; for ``merge``, the curve of its search.
    """

    steps: int | None
    epochs: float
    rows: int
    tokens: int
    replayed_tokens: int
    replay_share: float
    learning_rate: float | None = None
    batch_size: int | None
    first_loss: float | None
    final_loss: float | None
    seconds: float | None
    cpu_seconds: float | None = None
    peak_memory_mb: float | None = None
    trainable_parameters: int | None = None
    pull_norm: float | None = None
    found: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def final_loss(losses: Sequence[float]) -> float | None:
    """Mean of the last tenth of the losses, of one at least; None where there are none."""
    last = losses[-max(1, len(losses) // 10) :]
    return sum(last) / len(last) if last else None
