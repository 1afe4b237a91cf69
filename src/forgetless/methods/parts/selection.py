"""Which rows of a task are worth keeping: orders of rows of which every beginning is a good choice.

A buffer that shrinks as tasks arrive keeps the beginning of each order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Floats = np.ndarray[Any, Any]


def surprising_first(losses: Floats, random_share: float, rng: np.random.Generator) -> list[int]:
    """All rows, those of highest loss first, mixed with rows drawn at random.

    Of the first n rows, ceil(n * random_share) are drawn from all alike: high losses are also those
    of outliers and of wrong labels, which must not fill a buffer.

    Args:
        losses: Mean loss of each row in nats, shape (rows,).
        random_share: In (0, 1].
        rng: Source of randomness.

    >>> surprising_first(np.array([1.0, 9.0, 5.0, 3.0]), 0.5, np.random.default_rng(0))
    [2, 1, 0, 3]
    """
    surprising = iter(np.argsort(-losses, kind="stable").tolist())
    drawn = iter(rng.permutation(len(losses)).tolist())
    order: dict[int, None] = {}
    for place in range(len(losses)):
        at_random = math.ceil((place + 1) * random_share) > math.ceil(place * random_share)
        order[next(row for row in (drawn if at_random else surprising) if row not in order)] = None
    return list(order)


def herded(embeddings: Floats, count: int) -> list[int]:
    """Rows whose mean, after each that is taken, is as near to the mean of all as can be.

    The k-th row x minimises |k * mean - (sum of those taken) - x|, over unit-length embeddings.
    Unlike the greedy k-centre choice, which also has good beginnings, it goes by the bulk of the
    rows and not by the outermost.

    Args:
        embeddings: Shape (rows, width).
        count: How many to take; at most all.

    Returns:
        Their indices, best first.

    Source: Rebuffi et al. 2017 (arXiv 1611.07725), algorithm 4.  Differs: no row is taken twice,
    and means are not brought to unit length again.

    >>> herded(np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]), 2)
    [1, 0]
    """
    units = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    mean = units.mean(0)
    wanted = np.zeros_like(mean)  # k * mean - (sum of those taken), shape (width,)
    chosen: list[int] = []
    for _ in range(min(count, len(units))):
        wanted += mean
        nearness = units @ wanted  # of unit length, all x with the same |x|
        nearness[chosen] = -np.inf
        chosen.append(int(nearness.argmax()))
        wanted -= units[chosen[-1]]
    return chosen


def by_row(values: Floats, examples: Sequence[int]) -> Floats:
    """Means over the examples of each row, shape (rows, ...).

    Args:
        values: Of each example, row by row, shape (examples, ...).
        examples: How many each row has, at least one.
    """
    starts = np.cumsum([0, *examples[:-1]])
    means: Floats = (np.add.reduceat(values, starts, axis=0).T / np.asarray(examples)).T
    return means
