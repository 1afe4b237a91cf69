"""A cache of keys and values with room behind them: what is read is written there.

transformers' own joins all that was read with each new token, which for short prompts side by side
moves as much memory as the weights of the model.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import Cache
from transformers.cache_utils import DynamicLayer

SPARE = 32  # columns for which there is room when others are made


class GrowingLayer(DynamicLayer):
    """One layer's keys and values, each of shape (rows, heads, columns, width)."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._rooms: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write keys and values of new columns behind those that there are; all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys = self._joined("keys", self.keys, key_states)
        self.values = self._joined("values", self.values, value_states)
        return self.keys, self.values

    def _joined(self, name: str, read: torch.Tensor | None, new: torch.Tensor) -> torch.Tensor:
        start = 0 if read is None or not read.numel() else read.shape[-2]
        end = start + new.shape[-2]
        room, shown = self._rooms.get(name, (None, None))
        if room is None or shown is not read or room.shape[-2] < end:
            # There is none yet, someone put other rows here, or it is full.
            room = new.new_empty((*new.shape[:2], end + SPARE, new.shape[-1]))
            if read is not None and start:
                room[:, :, :start] = read
        room[:, :, start:end] = new
        joined = room[:, :, :end]
        self._rooms[name] = room, joined
        return joined


def growing_cache() -> Cache:
    """An empty cache for a model of any number of layers."""
    return Cache(layer_class_to_replicate=GrowingLayer)
