"""Several tests at once: the more tasks are looked at, the more likely luck makes one stand out."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for how many of them were looked at.

    ``p~_(i) = max_{j<=i} min(1, (m - j + 1) p_(j))``.

    Args:
        p_values: One per test, in [0, 1].

    Returns:
        In the order given.  With all that are at most alpha taken for real, none is wrongly so
        with probability 1 - alpha, however the tests depend on each other.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.

    Example:
        >>> holm([0.04, 0.01, 0.5])
        [0.08, 0.03, 0.5]
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
