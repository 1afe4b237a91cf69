"""A linear axis: from values to drawing units, with round ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from forgetless.metrics import Unit


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear map with ticks.

    Attributes:
        low: Value at ``start``.
        high: Value at ``end``.
        start: Drawing unit of ``low``.
        end: Drawing unit of ``high``; less than ``start`` for an axis that points upwards.
        ticks: Values to be marked.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    def __call__(self, value: float) -> float:
        """Drawing unit of a value; values outside are put on the edge."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + (self.end - self.start) * share

    def spelled(self, tick: float) -> str:
        """A tick with as many decimals as its neighbours need.

        Example:
            >>> Axis(0, 1, 0, 100, (0.0, 0.5, 1.0)).spelled(0.5)
            '0.5'
        """
        for digits in range(4):
            if all(abs(round(t, digits) - t) < 1e-9 for t in self.ticks):
                break
        return f"{tick:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def score_range(unit: Unit, values: Iterable[float]) -> tuple[float, float]:
    """The range to draw: 0 to 1 for accuracies, so that all pictures compare; else what is there.

    Args:
        unit: Unit of the scores.
        values: All scores and interval ends of that unit in the report.
    """
    if unit == "accuracy":
        return 0.0, 1.0
    found = list(values)
    low, high = (min(found), max(found)) if found else (-1.0, 0.0)
    margin = max((high - low) * 0.08, 0.05)
    return low - margin, high + margin


def axis(low: float, high: float, start: float, end: float, *, most: int = 5) -> Axis:
    """An axis over a range, ticked at round values inside it.

    Args:
        low: Least value.
        high: Greatest value.
        start: Drawing unit of ``low``.
        end: Drawing unit of ``high``.
        most: At most so many ticks.

    Example:
        >>> axis(0, 1, 0, 100).ticks
        (0.0, 0.25, 0.5, 0.75, 1.0)
    """
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / most))
    steps = (power * factor for factor in (1, 2, 2.5, 5, 10, 20))
    for step in steps:
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    ticks = tuple(round(place * step, 12) + 0.0 for place in range(first, last + 1))
    return Axis(low, high, start, end, ticks)
