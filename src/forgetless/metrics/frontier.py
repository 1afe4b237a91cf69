"""The nearest choices between what is gained and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from forgetless.metrics.scores import ROUNDING

NEXT_TO_NOTHING = 0.1
"""A point that keeps a smaller share of what was learned has not learned it, but gone back."""

T = TypeVar("T")


def frontier(
    points: Iterable[T], gained: Callable[[T], float], cost: Callable[[T], float]
) -> list[T]:
    """The points that no other beats in both: largest gain first, each cheaper than the last.

    Example:
        >>> frontier([(1.0, 0.5), (0.5, 0.6), (0.4, 0.0)], lambda p: p[0], lambda p: p[1])
        [(1.0, 0.5), (0.4, 0.0)]
    """
    kept: list[T] = []
    for point in sorted(points, key=lambda one: (-gained(one), cost(one))):
        if not kept or cost(point) < cost(kept[-1]) - ROUNDING:
            kept.append(point)
    return kept
