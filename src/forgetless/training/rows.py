"""The rows of a schedule as the Trainer takes them: a dataset, and what makes batches of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from forgetless.methods.parts.passes import collated
from forgetless.training.schedule import Schedule


@dataclass(frozen=True)
class ScheduledRows(torch.utils.data.Dataset[dict[str, Any]]):
    """The schedule as a map-style dataset: item k is the k-th row learned.

    Attributes:
        schedule: The rows.
        multiple: The length is a multiple of it, so that processes get batches of equal number and
            size; rows beyond the last teach nothing.
    """

    schedule: Schedule
    multiple: int = 1

    def __len__(self) -> int:
        return -(-len(self.schedule) // self.multiple) * self.multiple

    def __getitem__(self, position: int) -> dict[str, Any]:
        beyond = position >= len(self.schedule)
        place = min(position, len(self.schedule) - 1)
        example = self.schedule.examples[int(self.schedule.order[place])]
        if beyond:
            example = replace(example, learned=[False] * len(example))
        return {"example": example, "replayed": self.schedule.replayed(place)}


def collate(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Rows of one batch: what :func:`collated` makes of them, and ``replayed``, shape (rows,)."""
    tensors = collated([row["example"] for row in rows])
    return {**tensors, "replayed": torch.tensor([row["replayed"] for row in rows])}
