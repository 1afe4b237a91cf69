"""Means over test items drawn anew: the randomness behind every interval."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from forgetless.metrics.scores import FloatArray, IntArray

_BLOCK = 4_000_000
"""Most random weights held at a time: 32 MB."""


def resampled_means(
    scores: FloatArray, draws: int, rng: np.random.Generator, sizes: FloatArray | None = None
) -> FloatArray:
    """Means over items drawn anew with replacement.

    Args:
        scores: Shape (n, k).
        draws: Number of times.
        rng: Source of randomness.
        sizes: How many items each row is the mean of, shape (n,); 1 if not given.

    Returns:
        Shape (draws, k).

    Source: Efron 1979, Bootstrap Methods: Another Look at the Jackknife, section 2.
    """
    n = len(scores)
    share = np.full(n, 1 / n)
    means = []
    for size in _blocks(draws, n):
        weights = rng.multinomial(n, share, size=size) * (1.0 if sizes is None else sizes)
        means.append(weights @ scores / weights.sum(axis=1, keepdims=True))
    return np.concatenate(means)


def weighted_means(
    scores: FloatArray, draws: int, rng: np.random.Generator, sizes: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Means over the items under random weights, with a share left for one unseen item.

    ``(w_1, ..., w_n, u) ~ Dirichlet(1, ..., 1)``; with sizes, each times its size and the unseen
    one times their mean, and divided by the new sum.

    Args:
        scores: Shape (n, k).
        draws: Number of times.
        rng: Source of randomness.
        sizes: How many items each row is the mean of, shape (n,); 1 if not given.

    Returns:
        The sums ``w @ scores``, shape (draws, k), and the shares u, shape (draws, 1).

    Source: Rubin 1981, The Bayesian Bootstrap.

    Differs: the unseen item; see :mod:`forgetless.metrics.bootstrap`.  Rows that are equal share
    one draw from the gamma distribution, which is that of the sum of their weights.
    """
    relative = np.ones(len(scores)) if sizes is None else sizes / sizes.mean()
    rows, counts = _distinct(np.column_stack([scores, relative]))
    scores, relative = rows[:, :-1], rows[:, -1]
    shape, scale = np.append(counts, 1), np.append(relative, 1.0)
    sums, shares = [], []
    for size in _blocks(draws, len(shape)):
        weights = rng.standard_gamma(shape, (size, len(shape))) * scale
        weights /= weights.sum(axis=1, keepdims=True)
        sums.append(weights[:, :-1] @ scores)
        shares.append(weights[:, -1:])
    return np.concatenate(sums), np.concatenate(shares)


def _distinct(rows: FloatArray) -> tuple[FloatArray, IntArray]:
    """Different rows in the order of their first appearance, and how often each is there."""
    _, first, counts = np.unique(rows, axis=0, return_index=True, return_counts=True)
    order = np.argsort(first)
    return rows[first[order]], counts[order]


def _blocks(draws: int, width: int) -> Iterator[int]:
    size = max(1, _BLOCK // width)
    for start in range(0, draws, size):
        yield min(size, draws - start)
