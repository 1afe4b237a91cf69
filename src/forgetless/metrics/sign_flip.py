"""A test of no change for graded scores, and for items that are not independent.

If nothing changed, before and after are two answers to the same question and could as well stand
the other way round: each group of items may swap its sign.  The test counts how often swapped
signs move the total as far as it was seen to move.  Of right and wrong answers to items that stand
alone it is McNemar's test.  With few groups there are few ways to swap, and nothing is significant
with fewer than six.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import binomtest

from forgetless.metrics.scores import ROUNDING, FloatArray, IntArray

FEWEST_DRAWS = 9999
"""Random swaps, where there are too many to go through."""

_ENUMERATED = 12
"""Up to so many changed groups all swaps are gone through: 4096."""

_BLOCK = 2_000_000
"""Most random signs held at a time."""


def group_sums(changes: FloatArray, number: IntArray | None) -> FloatArray:
    """Total change of each group.

    Args:
        changes: After less before, shape (n,).
        number: Each item's group, counted from 0, shape (n,); None if every item is alone.

    Returns:
        Shape (groups,).
    """
    return changes if number is None else np.bincount(number, changes).astype(float)


def sign_flip(sums: FloatArray, *, draws: int = FEWEST_DRAWS, seed: int = 0) -> float:
    """How often chance would move the total as far, or further, up or down.

    ``p = P(|sum_g e_g D_g| >= |sum_g D_g|)`` over independent fair signs e; exact where the D are
    whole numbers or few, else ``(1 + hits) / (1 + draws)``.

    Args:
        sums: D, the total change of each group, shape (groups,).
        draws: Random swaps, where they are drawn.
        seed: Of the swaps.

    Returns:
        Two-sided p-value in (0, 1]; 1 if nothing changed.

    Source: Fisher 1935, The Design of Experiments, section 21; by group as in Canay, Romano &
    Shaikh 2017, Randomization tests under an approximate symmetry assumption.

    Differs: a random test is not broken at ties.

    Example:
        >>> sign_flip(np.array([-1.0] * 8 + [1.0]))  # as McNemar's test of 8 lost and 1 gained
        0.0390625
    """
    changed = sums[np.abs(sums) > ROUNDING]
    if not len(changed):
        return 1.0
    sizes = np.abs(changed)
    if np.ptp(sizes) < ROUNDING:
        return mcnemar(lost=int((changed < 0).sum()), gained=int((changed > 0).sum()))
    if (np.abs(changed - np.round(changed)) < ROUNDING).all():
        return _exact(np.round(changed).astype(np.intp))
    reached = abs(float(changed.sum())) - ROUNDING * float(sizes.sum())
    if len(changed) <= _ENUMERATED:
        swaps = np.arange(2 ** len(changed))[:, np.newaxis] >> np.arange(len(changed)) & 1
        return float((np.abs((1 - 2 * swaps) @ changed) >= reached).mean())
    rng = np.random.default_rng(seed)
    hits = 0
    for start in range(0, draws, size := max(1, _BLOCK // len(changed))):
        signs = rng.integers(0, 2, (min(size, draws - start), len(changed)), dtype=np.int8)
        totals = 2 * (signs @ changed) - changed.sum()
        hits += int((np.abs(totals) >= reached).sum())
    return (1 + hits) / (1 + draws)


def mcnemar(lost: int, gained: int) -> float:
    """How often chance would split the flips as unevenly, or more, between lost and gained.

    ``p = P(|X - m/2| >= |lost - m/2|)``, ``X ~ Binomial(m, 1/2)``, ``m = lost + gained``.

    Args:
        lost: Number of items that went from right to wrong.
        gained: Number of items that went from wrong to right.

    Returns:
        Two-sided p-value in (0, 1]; 1 if nothing flipped.

    Raises:
        ValueError: if a count is negative.

    Source: McNemar 1947, Note on the sampling error of the difference between correlated
    proportions.

    Differs: the exact binomial tail in place of the paper's chi-squared approximation, which is
    wrong for the few flips that matter here.

    Example:
        >>> mcnemar(lost=8, gained=1)
        0.0390625
    """
    if lost < 0 or gained < 0:
        raise ValueError(f"found {lost} lost and {gained} gained, needed counts")
    if lost + gained == 0:
        return 1.0
    return float(binomtest(lost, lost + gained, 0.5).pvalue)


def _exact(changed: IntArray) -> float:
    """The same from the whole distribution of the total, built up group by group."""
    reach = int(np.abs(changed).sum())
    chance = np.zeros(2 * reach + 1)  # of a total of -reach, ..., reach
    chance[reach] = 1.0
    for size in np.abs(changed):
        moved = np.zeros_like(chance)
        moved[size:] += chance[:-size] / 2
        moved[:-size] += chance[size:] / 2
        chance = moved
    totals = np.arange(-reach, reach + 1)
    return float(min(1.0, chance[np.abs(totals) >= abs(int(changed.sum()))].sum()))
