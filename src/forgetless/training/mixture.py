"""Rehearsed rows among new ones: which are drawn in an epoch, and where they stand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from forgetless.methods.stage import Stage
from forgetless.tasks.examples import Ints


@dataclass(frozen=True)
class Mixture:
    """New and rehearsed rows in the order in which they are learned.

    Attributes:
        lengths: Tokens of each row there is, the new ones first, shape (there are,).
        new: How many of them are new.
        order: Index of every row learned, shape (rows,).
    """

    lengths: Ints
    new: int
    order: Ints

    def __len__(self) -> int:
        return len(self.order)

    @property
    def tokens(self) -> int:
        """Tokens learned from, prompts included."""
        return int(self.lengths[self.order].sum())

    @property
    def replayed_tokens(self) -> int:
        """Tokens of rehearsed rows among them."""
        return int(self.lengths[self.order[self.order >= self.new]].sum())

    def provenance_line(self, index: int, task: str, row: str, epoch: int = 1) -> str:
        """What ``train.jsonl`` says of a row learned: where it came from."""
        line = {
            "epoch": epoch,
            "task": task,
            "row": row,
            "replayed": index >= self.new,
            "tokens": int(self.lengths[index]),
        }
        return json.dumps(line, ensure_ascii=False) + "\n"


class Epochs:
    """Draws the rows of a stage, epoch by epoch.

    With ratio r and N tokens of new rows, r * N / (1 - the sum of all ratios) tokens of a pool go
    with them.

    Args:
        stage: Its seed and number decide what is drawn.
        lengths: Tokens of each row, the new ones first, then those of each pool, shape (rows,).
        new: How many of them are new.
        pools: The share of the mixture's tokens, and the number of rows, of each pool.

    Attributes:
        new_share: Share of the new rows in the mixture's tokens.
    """

    def __init__(
        self, stage: Stage, lengths: Ints, new: int, pools: Sequence[tuple[float, int]]
    ) -> None:
        self.new_share = 1 - sum(ratio for ratio, _ in pools)
        self._stage = stage
        self._lengths = lengths
        self._new = new
        starts = accumulate((rows for _, rows in pools), initial=new)
        self._draws = [
            Draws(
                lengths[start : start + rows],
                start,
                ratio / self.new_share,
                stage.rng("rehearsal", number),
            )
            for number, ((ratio, rows), start) in enumerate(zip(pools, starts, strict=False))
        ]

    def epoch(self, number: int, new: int | None = None) -> Ints:
        """The rows of an epoch in order, shape (rows,).

        Args:
            number: Of the epoch, from 1; they are to be drawn one after another.
            new: How many new rows it has; all of them if None.
        """
        rows = np.arange(self._new, dtype=np.int32)
        fresh = self._stage.rng("order", number).permutation(rows)[:new]
        old = [draw.epoch(int(self._lengths[fresh].sum())) for draw in self._draws]
        return mix(fresh, old, self._lengths, self._stage.rng("places", number))


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
