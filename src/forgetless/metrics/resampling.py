"""Means over test items drawn anew: the randomness behind every interval."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from forgetless.metrics.scores import FloatArray

_BLOCK = 4_000_000
"""Most random weights held at a time: 32 MB."""


def resampled_means(scores: FloatArray, draws: int, rng: np.random.Generator) -> FloatArray:
    """Means over items drawn anew with replacement.

    Args:
        scores: Shape (n, k).
        draws: Number of times.
        rng: Source of randomness.

    Returns:
        Shape (draws, k).

    Source: Efron 1979, Bootstrap Methods: Another Look at the Jackknife, section 2.
    """
    n = len(scores)
    share = np.full(n, 1 / n)
    return np.concatenate(
        [rng.multinomial(n, share, size=size) @ scores / n for size in _blocks(draws, n)]
    )


def weighted_means(
    scores: FloatArray, draws: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Means over the items under random weights, with a share left for one unseen item.

    ``(w_1, ..., w_n, u) ~ Dirichlet(1, ..., 1)``.

    Args:
        scores: Shape (n, k).
        draws: Number of times.
        rng: Source of randomness.

    Returns:
        The sums ``w @ scores``, shape (draws, k), and the shares u, shape (draws, 1).

    Source: Rubin 1981, The Bayesian Bootstrap.

    Differs: the unseen item; see :mod:`forgetless.metrics.bootstrap`.
    """
    n = len(scores)
    sums, shares = [], []
    for size in _blocks(draws, n + 1):
        weights = rng.standard_exponential((size, n + 1))
        weights /= weights.sum(axis=1, keepdims=True)
        sums.append(weights[:, :n] @ scores)
        shares.append(weights[:, n:])
    return np.concatenate(sums), np.concatenate(shares)


def _blocks(draws: int, width: int) -> Iterator[int]:
    size = max(1, _BLOCK // width)
    for start in range(0, draws, size):
        yield min(size, draws - start)
