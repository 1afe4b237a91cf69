"""Rehearsed rows among those of someone else's Trainer, which counts its steps only once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from forgetless.errors import UsageError
from forgetless.tasks.examples import Examples
from forgetless.tasks.render import Encoded
from forgetless.training.others_rows import KEYS, REPLAYED, Collate, Item, keys_of

EXCHANGES = 8  # rows of a draw that may be exchanged
CANDIDATES = 256  # rows looked at for an exchange, so that a large pool costs no more


class MixedRows(torch.utils.data.Dataset[Item]):
    """A dataset with rehearsed rows mixed in, other ones in every epoch.

    The number of rehearsed rows is the same in every epoch, as trainers count steps once; which
    they are is chosen so that their tokens make up the share asked for.

    Args:
        new: The trainer's own dataset.
        new_tokens: Tokens of its rows.
        pools: The share of the mixture's tokens and the examples of each pool.
        as_item: Puts an example into the columns of the dataset.
        rng: A source of randomness for each pool and epoch.
    """

    def __init__(
        self,
        new: Any,
        new_tokens: int,
        pools: Sequence[tuple[float, Examples]],
        as_item: Callable[[Encoded], Item],
        rng: Callable[[int, int], np.random.Generator],
    ) -> None:
        self._new = new
        self._as_item = as_item
        self._rng = rng
        self._pools = pools
        fresh = 1 - sum(ratio for ratio, _ in pools)
        self._tokens = [ratio / fresh * new_tokens for ratio, _ in pools]
        self._counts = [
            max(1, round(tokens / float(pool.lengths.mean())))
            for tokens, (_, pool) in zip(self._tokens, pools, strict=True)
        ]
        self._drawn: list[tuple[int, int]] = []
        self.set_epoch(0)

    def __len__(self) -> int:
        return len(self._new) + sum(self._counts)

    def set_epoch(self, epoch: int) -> None:
        """Draw the rehearsed rows of an epoch, counted from 0."""
        self._drawn = [
            (number, int(index))
            for number, (_, pool) in enumerate(self._pools)
            for index in draw(
                pool.lengths,
                self._counts[number],
                self._tokens[number],
                epoch,
                lambda turn, number=number: self._rng(number, turn),  # type: ignore[misc]
            )
        ]

    @property
    def replayed_tokens(self) -> int:
        """Tokens of the rehearsed rows of this epoch."""
        return sum(int(self._pools[pool][1].lengths[index]) for pool, index in self._drawn)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index < len(self._new):
            return {"item": self._new[index], "replayed": False}
        pool, number = self._drawn[index - len(self._new)]
        return {"item": self._as_item(self._pools[pool][1][number]), "replayed": True}


def draw(
    lengths: np.ndarray[Any, Any],
    count: int,
    tokens: float,
    epoch: int,
    rng: Callable[[int], np.random.Generator],
) -> np.ndarray[Any, Any]:
    """So many rows of a pool with about so many tokens.

    Rows are taken in turn from shuffled rounds through the pool; then a few are exchanged for rows
    that would have followed, as long as that brings the tokens nearer.  The share of tokens comes
    first: a row that was exchanged waits for the next round, the other may be used twice in this.

    Args:
        lengths: Tokens of each row, shape (pool,).
        count: Rows to draw.
        tokens: Tokens that they are to have together.
        epoch: From 0.
        rng: Source of randomness of a round through the pool.

    Returns:
        Indices of rows, shape (count,).
    """
    first, last = epoch * count, (epoch + 1) * count
    size = len(lengths)
    rounds = range(first // size, last // size + 2)
    order = np.concatenate([rng(turn).permutation(size) for turn in rounds])
    place = first - rounds[0] * size
    chosen = order[place : place + count].copy()
    following = np.setdiff1d(order[place + count : place + count + CANDIDATES], chosen)
    for _ in range(EXCHANGES):
        missing = tokens - float(lengths[chosen].sum())
        if not len(following):
            break
        gains = lengths[following][:, None] - lengths[chosen[:CANDIDATES]][None, :]
        enters, leaves = np.unravel_index(np.abs(missing - gains).argmin(), gains.shape)
        if abs(missing - gains[enters, leaves]) >= abs(missing):
            break
        following[enters], chosen[leaves] = chosen[leaves], following[enters]
    return chosen


@dataclass(frozen=True)
class MarkedCollator:
    """A trainer's collator, telling beside its batch which rows are rehearsed and which they are.

    Attributes:
        collate: The trainer's collator.
        marked: Whether anyone looks at the marks.
    """

    collate: Collate
    marked: bool

    def __call__(self, rows: list[Any]) -> dict[str, Any]:
        """Collate rows of :class:`MixedRows`."""
        batch = dict(self.collate([row["item"] for row in rows]))
        if self.marked:
            keys = keys_of(batch)
            if len(keys) != len(rows):
                raise UsageError(
                    f"the collator makes {len(rows)} rows into {len(keys)}; methods that look at "
                    "each row's loss need one each",
                    fix="padding_free=False, and packing=False or packing_strategy='wrapped'",
                )
            batch[KEYS] = keys
            batch[REPLAYED] = torch.tensor([row["replayed"] for row in rows])
        return batch
