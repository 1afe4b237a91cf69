"""Where to evaluate a figure for the two limits of its interval.

:mod:`forgetless.metrics.bootstrap` says why there is an unseen item; here it is put in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from forgetless.errors import NotMeasured
from forgetless.metrics.pairing import Drawn, Formula, PairedRuns
from forgetless.metrics.resampling import resampled_means, weighted_means
from forgetless.metrics.scores import ROUNDING, FloatArray, IntArray

IntervalMethod = Literal[
    "Clopper-Pearson", "exact", "bootstrap with an unseen item", "percentile bootstrap"
]

_JITTER = 1e-3
"""How far cells are moved apart before asking what each does to a figure, as a share of [0, 1]."""


_FAR = 1e3
"""The same for log-likelihoods, which have no lower end: nats, more than any difference."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Points to evaluate a figure at; each is a line of all cells, see :class:`PairedRuns`.

    Attributes:
        low: For the lower limit, shape (draws, C); (1, C) where the limits are exact.
        middle: With nothing unseen, to compare with the figure itself; the same shape.  On average
            they are the scores as measured.
        high: For the upper limit; the same shape.
        method: What this way to find limits is called.
    """

    low: FloatArray
    middle: FloatArray
    high: FloatArray
    method: IntervalMethod


def limit_lines(
    paired: PairedRuns, figure: Formula, point: FloatArray, draws: int, level: float, seed: int
) -> Lines:
    """Draw the test items anew, with one unseen item at its worst and at its best.

    Args:
        paired: The runs, with their items.
        figure: Takes one stack per run.
        point: The scores as they were measured, shape (C,).
        draws: Number of lines, where the limits are not exact.
        level: Confidence level, for the limits that are.
        seed: Of the draws.

    Returns:
        The lines; cells that do not change the figure stay as they were measured.

    Raises:
        NotMeasured: if no cell changes the figure, or the items of one that does are not known.
    """
    effect = _effects(paired, figure, point)
    read = [place for place, sign in zip(paired.places, effect, strict=True) if sign]
    items = {task: paired.items(task) for task in dict.fromkeys(place.task for place in read)}
    if not items:
        raise NotMeasured("no score changes this figure, so there is nothing to be unsure of")
    rng = np.random.default_rng(seed)
    if any(paired.runs[place.run].column(place.task).unit == "nats" for place in read):
        lines = np.tile(point, (draws, 1))
        for drawn in items.values():
            means = resampled_means(drawn.scores, draws, rng, drawn.sizes)
            centre = point[drawn.where]
            lines[:, drawn.where] = centre + _widening(drawn, level) * (means - centre)
        return Lines(lines, _centred(lines, point, items), lines, "percentile bootstrap")

    worst = np.where(effect > 0, 0.0, np.where(effect < 0, 1.0, point))  # (C,)
    best = np.where(effect > 0, 1.0, np.where(effect < 0, 0.0, point))
    if len(items) == 1:
        (drawn,) = items.values()
        moving = effect[drawn.where] != 0
        if drawn.sizes is None or (drawn.sizes == drawn.sizes[0]).all():
            scores, where = drawn.scores[:, moving], drawn.where[moving]
            exact = _exact_lines(scores, where, point, worst, best, level)
            if exact is not None:
                return exact
    lows, middles, highs = (np.tile(point, (draws, 1)) for _ in range(3))
    for drawn in items.values():
        where = drawn.where
        # (draws, k), (draws, 1)
        seen, unseen = weighted_means(drawn.scores, draws, rng, drawn.sizes)
        lows[:, where] = (seen + unseen * worst[where]).clip(0, 1)  # up to rounding it is inside
        middles[:, where] = seen / (1 - unseen)
        highs[:, where] = (seen + unseen * best[where]).clip(0, 1)
    return Lines(lows, _centred(middles, point, items), highs, "bootstrap with an unseen item")


def hidden_loss(items: int, *, level: float = 0.95) -> float:
    """The largest true loss that cannot be ruled out where no item's answer changed.

    ``1 - ((1 - level) / 2)^(1 / n)``, an upper quantile of Beta(1, n): the upper end of the
    interval of a change that was not seen in any of n items.

    Args:
        items: Number n of items, or of groups of items, at least 1.
        level: Confidence level of the interval.

    Returns:
        As a share of the scale of scores from 0 to 1.

    Example:
        >>> round(hidden_loss(6), 2), round(hidden_loss(72), 2)
        (0.46, 0.05)
    """
    return float(1 - ((1 - level) / 2) ** (1 / items))


def _exact_lines(
    scores: FloatArray,
    where: IntArray,
    point: FloatArray,
    worst: FloatArray,
    best: FloatArray,
    level: float,
) -> Lines | None:
    """The same for items of one task, shape (n, k), whose limits are known in closed form."""
    n, k = scores.shape
    if k == 1 and np.isin(scores, (0.0, 1.0)).all():
        least, most = _clopper_pearson(round(scores.sum()), n, level)
        lows, highs = point.copy(), point.copy()
        lows[where] = least if best[where] == 1 else most
        highs[where] = most if best[where] == 1 else least
        return Lines(lows[np.newaxis], point[np.newaxis], highs[np.newaxis], "Clopper-Pearson")
    if (scores == scores[0]).all():
        share = hidden_loss(n, level=level)
        lows, highs = point + share * (worst - point), point + share * (best - point)
        return Lines(lows[np.newaxis], point[np.newaxis], highs[np.newaxis], "exact")
    return None


def _clopper_pearson(right: int, items: int, level: float) -> tuple[float, float]:
    """Exact limits of a share; the quantiles of beta in place of a search: a hundredth of the time.

    Source: Clopper & Pearson 1934, The use of confidence or fiducial limits illustrated in the case
    of the binomial.
    """
    tail = (1 - level) / 2
    wrong = items - right
    least = stats.beta.ppf(tail, right, wrong + 1) if right else 0.0
    most = stats.beta.isf(tail, right + 1, wrong) if wrong else 1.0
    return float(least), float(most)


def _centred(lines: FloatArray, point: FloatArray, items: Mapping[str, Drawn]) -> FloatArray:
    """Draws with nothing unseen, those of groups moved to where they should lie on average.

    The mean over groups of unequal sizes is a ratio of two sums, and that of a draw is off on
    average: by what is no bias of the figure, though it would look like one.
    """
    centred = lines.copy()
    for drawn in items.values():
        if drawn.sizes is not None:
            centred[:, drawn.where] += point[drawn.where] - lines[:, drawn.where].mean(axis=0)
    return centred


def _widening(drawn: Drawn, level: float) -> float:
    """How much further limits lie where little is drawn, and nothing bounds what was not seen.

    Student's t with n - 1 degrees of freedom against the normal quantile, times sqrt(n / (n - 1))
    for the spread that n draws from n understate (Hesterberg 2015, What Teachers Should Know about
    the Bootstrap, section 4.3).  n counts groups, or items that stand alone: 1.09 for 20, 1.02 for
    100.
    """
    n = len(drawn.scores)
    if n < 2:
        return 1.0
    tail = (1 - level) / 2
    return float(stats.t.isf(tail, n - 1) / stats.norm.isf(tail) * np.sqrt(n / (n - 1)))


def _effects(paired: PairedRuns, figure: Formula, point: FloatArray) -> FloatArray:
    """Which way each cell moves the figure: 1, -1, or 0 for not at all; shape (C,)."""
    size = len(point)
    bounded = np.array([unit == "accuracy" for unit in paired.units])
    # Apart from one another, so that a tie for the maximum does not hide both.
    apart = np.random.default_rng(0).random(size)
    start = np.where(bounded, (1 - _JITTER) * point + _JITTER * apart, point + _JITTER * apart)
    probes = np.tile(start, (2 * size + 1, 1))
    cells = np.arange(size)
    probes[cells, cells] = np.where(bounded, 1.0, start + _FAR)
    probes[size + cells, cells] = np.where(bounded, 0.0, start - _FAR)
    values = paired.evaluate(figure, probes)
    up, down = values[:size] - values[-1], values[-1] - values[size:-1]
    effect = np.nansum([up, down], axis=0)
    return np.where(np.abs(effect) < ROUNDING, 0.0, np.sign(effect))
