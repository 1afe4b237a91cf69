"""What the loss sees of one forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

IGNORED = -100  # the label that transformers leaves out of losses and token counts


@dataclass(frozen=True)
class Batch:
    """What the loss sees of one forward pass.

    Attributes:
        ids: Token ids, shape (batch, length).
        mask: Attention mask, shape (batch, length).
        positions: Position ids, shape (batch, length).
        columns: Columns whose logits were computed, shape (k,).
        logits: Next-token logits at those columns, shape (batch, k, vocabulary); without meaning
            where nothing is learned.
        targets: The token that follows each, ``IGNORED`` where it is not learned, shape (batch, k).
        replayed: Whether each row is rehearsal, shape (batch,).
        keys: ``Encoded.key`` of each row, shape (batch,).
        learned_tokens: Learned tokens in the whole optimiser step; divide a summed term by it.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor
    columns: torch.Tensor
    logits: torch.Tensor
    targets: torch.Tensor
    replayed: torch.Tensor
    keys: torch.Tensor
    learned_tokens: float

    @cached_property
    def losses(self) -> torch.Tensor:
        """Cross-entropy of each learned token in nats, 0 elsewhere, shape (batch, k).

        Worked out once: take it where the loss needs its gradient, and detach it for weights.
        """
        return self._cross_entropy("none").view_as(self.targets)

    @property
    def summed_loss(self) -> torch.Tensor:
        """The sum of ``losses``, bit for bit as transformers sums it."""
        return self._cross_entropy("sum")

    def _cross_entropy(self, reduction: str) -> torch.Tensor:
        from torch.nn.functional import cross_entropy

        return cross_entropy(
            self.logits.float().flatten(0, 1),
            self.targets.flatten(),
            ignore_index=IGNORED,
            reduction=reduction,
        )
