"""Rehearsed rows among new ones: which are drawn in an epoch, and where they stand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forgetless.tasks.examples import Ints


class Draws:
    """Draws rows of one pool, all used once before any is used again.

    Args:
        lengths: Tokens of each row of the pool.
        start: Index of the pool's first row among all examples.
        share: Tokens to draw per token of the new rows.
        rng: Source of randomness.
    """

    def __init__(self, lengths: Ints, start: int, share: float, rng: np.random.Generator) -> None:
        self._lengths = lengths
        self._start = start
        self._share = share
        self._rng = rng
        self._order = np.empty(0, np.int32)
        self._left = 0  # rows of the order that are not drawn yet: its first ones
        self._owed = 0.0

    def epoch(self, new_tokens: int) -> Ints:
        """Rows to go with so many new tokens; what rounding leaves is owed to the next epoch."""
        self._owed += self._share * new_tokens
        taken: list[int] = []
        while True:
            if not self._left:
                self._order = self._rng.permutation(np.arange(len(self._lengths), dtype=np.int32))
                self._left = len(self._order)
            row = int(self._order[self._left - 1])
            length = float(self._lengths[row])
            if length > 2 * self._owed:  # taking it would miss by more than leaving it
                return np.array(taken, dtype=np.int64) + self._start
            taken.append(row)
            self._left -= 1
            self._owed -= length


def mix(new: Ints, old: Sequence[Ints], lengths: Ints, rng: np.random.Generator) -> Ints:
    """Spread old rows evenly over the new ones in tokens, at random places within that.

    New rows keep their own order.  Any part of the epoch has the share of old tokens that the whole
    has, to within a row of each pool, so that stopping after some steps does not change it.
    """
    if not any(map(len, old)):
        return new
    ends = [np.cumsum(lengths[rows]) for rows in (new, *old)]
    draws = [np.full(len(new), 0.5), *(rng.random(len(rows)) for rows in old)]
    places = [
        (end - draw * lengths[rows]) / end[-1] if len(rows) else end
        for rows, end, draw in zip((new, *old), ends, draws, strict=True)
    ]
    return np.concatenate([new, *old])[np.argsort(np.concatenate(places), kind="stable")]
