"""What so many items can show: how many would decide, and how small a loss they would find."""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.stats import norm

from forgetless.metrics.summary import Figure

_SMALLEST = 1e-9
"""Losses closer than this are taken for equal, in the unit of the task."""


def items_needed(
    loss: Figure,
    margin: float,
    items: int,
    *,
    strengthen: float | None = None,
    unchanged: bool = False,
) -> int | None:
    """About how many items would decide, if the loss stayed what it is.

    Interval lengths shrink with the root of the number of items; wanted is the number at which the
    interval just excludes 0, or just stays under the margin.  Where no item changed, the limit is
    that of an event that was not seen, ``1 - tail^(1/n)``, and shrinks with the number itself.

    Args:
        loss: Before less after, with its interval.
        margin: Largest loss that is accepted, in the unit of the loss.
        items: How many items it was measured on.
        strengthen: How many times stronger the evidence of a loss must be to count as shown, where
            a test decides that in place of the interval.
        unchanged: Whether no item's score changed; known already where the limits are exact.

    Returns:
        Rounded up to two digits; None where the loss or its interval is not known.

    Example:
        >>> from forgetless.metrics import Figure, Interval
        >>> limits = Interval(-0.1, 0.1, 0.95, "bootstrap with an unseen item")
        >>> items_needed(Figure(0.0, limits, None), 0.05, 100)
        400
    """
    if loss.value is None or loss.interval is None:
        return None
    wanted = []
    if loss.value < margin - _SMALLEST:
        if loss.value == 0 and (unchanged or loss.interval.method == "exact"):
            high = min(loss.interval.high, 1 - _SMALLEST)
            wanted.append(items * math.log1p(-high) / math.log1p(-min(margin, 1 - _SMALLEST)))
        else:
            ratio = (loss.interval.high - loss.value) / (margin - loss.value)
            wanted.append(items * ratio**2)
    if loss.value > 0:
        ratio = strengthen or (loss.value - loss.interval.low) / loss.value
        wanted.append(items * ratio**2)
    least = max(min(wanted, default=math.inf), items)
    if math.isinf(least):  # as with a loss that equals the margin: no number of items decides
        return None
    scale: int = 10 ** max(math.floor(math.log10(least)) - 1, 0)  # two digits: it is a guess
    return math.ceil(least / scale - 1e-9) * scale


def detectable_loss(
    items: int,
    spread: float,
    *,
    level: float = 0.95,
    tests: int = 1,
    power: float = 0.8,
    budget: float = 0.0,
    bounded: bool = True,
    cluster: float = 1.0,
) -> float | None:
    """The smallest true loss that so many items show with the given power.

    ``d = (z_a sqrt(s) + z_b sqrt(s - c d^2)) / sqrt(n)``, and no smaller than
    ``budget + z_b sqrt((s - c d^2) / n)``, with ``z_a`` the normal quantile at
    ``1 - (1 - level) / (2 tests)`` and ``z_b`` that at ``power``.

    Args:
        items: Number n of items.
        spread: Variance s that one item adds to the sum of changes; for right and wrong answers
            to independent items it is the share of items that flip.
        level: Confidence level of the test.
        tests: Number of tests it is one of; each is then held to the strictest step of Holm's.
        power: Share of repetitions in which the loss is shown.
        budget: The loss must also be larger than this as measured.
        bounded: Whether scores lie between 0 and 1: a loss d then has s >= c d at least.
        cluster: Mean square size of the groups of items over their mean size, c; 1 if every item
            is alone.

    Returns:
        In the unit of the task, positive; None if not even the loss of everything would be shown.

    Source: Connor 1987, Sample size for testing differences in proportions for the paired-sample
    design, eq. 3.

    Example:
        >>> round(detectable_loss(500, 0.1), 4)
        0.0395
    """
    at_test = float(norm.isf((1 - level) / 2 / tests))
    at_power = float(norm.isf(1 - power))
    if not bounded:
        noise = math.sqrt(spread / items)
        return max((at_test + at_power) * noise, budget + at_power * noise)

    def spreads(loss: float) -> tuple[float, float]:
        """Standard errors with nothing lost, and with the loss."""
        variance = max(spread, cluster * loss)
        left = max(variance - cluster * loss**2, 0.0)
        return math.sqrt(variance / items), math.sqrt(left / items)

    def significant(loss: float) -> float:
        without, with_loss = spreads(loss)
        return loss - at_test * without - at_power * with_loss

    def beyond_budget(loss: float) -> float:
        return loss - budget - at_power * spreads(loss)[1]

    smallest = _SMALLEST
    for lacking in (significant, beyond_budget):
        if lacking(1.0) < 0:
            return None
        if lacking(smallest) < 0:
            smallest = float(brentq(lacking, smallest, 1.0))
    return smallest
