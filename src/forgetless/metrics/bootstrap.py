"""How sure a figure is, given that other test items could have been asked.

The plain bootstrap draws the items anew and reads the interval off the quantiles.  It knows only
what it has seen: after 60 right answers out of 60 every draw has 60 right answers, and the interval
is [1, 1], as if an error were impossible.  An item lost once in a hundred is missed in the same
way, and a budget of two points would look kept.

So every draw here holds one item more than was asked, an *unseen* one, scored as badly as can be
for the lower limit and as well as can be for the upper one.  Its share of the total is random, like
that of every other item; the shares are Dirichlet(1, ..., 1).  The bound is Gaffke's:

- for the accuracy of one cell with k of n right its limits are quantiles of Beta(k, n-k+1) and
  Beta(k+1, n-k), which are the exact limits of Clopper and Pearson;
- where all n items agree, the share is Beta(1, n), and the limit is known in closed form: with none
  of n items lost, at most ``1 - (alpha/2)^(1/n)`` are (6 points for n = 60);
- with many items its weight vanishes, and what is left is the bootstrap.

That the bound holds whatever the distribution of scores is proved for one cell of right-or-wrong
scores; otherwise it is conjectured and not refuted, and the tests simulate it.  It needs scores
that are bounded: figures in nats get the plain percentile bootstrap, and none at all where their
items do not differ.

Sources: Efron 1979; Rubin 1981; Clopper & Pearson 1934; Gaffke 2005, Three test statistics for a
nonparametric one-sided hypothesis on the mean of a nonnegative variable; Learned-Miller & Thomas
2020, A new confidence interval for the mean of a bounded random variable.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal

import numpy as np
from scipy.stats import binomtest

from forgetless.errors import NotMeasured
from forgetless.metrics.matrix import ScoreMatrix
from forgetless.metrics.pairing import Formula, IntArray, PairedRuns
from forgetless.metrics.resampling import resampled_means, weighted_means
from forgetless.metrics.scores import FloatArray, Scores, V

IntervalMethod = Literal[
    "Clopper-Pearson", "exact", "bootstrap with an unseen item", "percentile bootstrap"
]

_JITTER = 1e-3
"""How far cells are moved apart before asking what each does to a figure, as a share of [0, 1]."""

_ROUNDING = 1e-9
"""Smaller effects than this are taken for rounding."""

_FAR = 1e3
"""The same for log-likelihoods, which have no lower end: nats, more than any difference."""


_Lines = tuple[FloatArray, FloatArray, IntervalMethod]
"""Points for the lower and for the upper limit, each of shape (draws or 1, C)."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a figure may lie, had other items of the same kind been asked.

    Attributes:
        low: Lower limit, in the unit of the figure.
        high: Upper limit.
        level: Confidence that the two enclose the true value, e.g. 0.95; either limit on its own
            holds with confidence (1 + level) / 2.
        method: How the limits were found.
    """

    low: float
    high: float
    level: float
    method: IntervalMethod

    def to_json(self) -> dict[str, float | str]:
        """The fields by name."""
        return asdict(self)


def interval(
    figure: Formula,
    *runs: ScoreMatrix,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Confidence limits of a figure over the test items; see the module for the reasons.

    ``[q_{alpha/2}(f(R_low)), q_{1-alpha/2}(f(R_high))]``, alpha = 1 - level, over draws of the
    matrix R with one unseen item at its worst and at its best.

    Stages, seeds and the choice of tasks are taken as they are: the interval says nothing about
    what training again would give.  For :func:`~forgetless.metrics.forgetting` the best earlier
    row is chosen anew in each draw; among several rows that are equally good, noise lifts the best
    one, and the figure with it.

    Args:
        figure: Any figure of this package, or a function of it; it takes one stack per run, and
            moves in one direction when a single cell grows.
        runs: One matrix, or as many as the figure takes; their items are paired.
        draws: Number of resampled matrices.
        level: Confidence level, above 0 and below 1.
        seed: The same seed gives the same interval.

    Returns:
        The limits, in the unit of the figure, and how they were found.

    Raises:
        NotMeasured: if the figure or the items it needs do not exist, or too many draws have no
            such figure.
        ValueError: if ``level`` or ``draws`` is out of range.

    Source: Gaffke 2005; Clopper & Pearson 1934 for a single right-or-wrong cell.

    Differs: two-sided, each side at alpha/2; figures may be curved in R, as a maximum is.

    Example:
        >>> from forgetless.metrics import Cell, ScoreMatrix, TaskColumn, interval
        >>> asked = Cell({f"q{i}": 1.0 for i in range(60)})
        >>> matrix = ScoreMatrix(["base"], [TaskColumn("law")], {(0, "law"): asked})
        >>> limits = interval(lambda scores: scores.score(0, "law"), matrix)
        >>> f"{limits.low:.3f} to {limits.high:.3f}, {limits.method}"
        '0.940 to 1.000, Clopper-Pearson'
    """
    if not 0 < level < 1 or draws < 1:
        raise ValueError(f"level is {level:g}, draws is {draws}; needed 0 < level < 1, draws >= 1")
    paired = PairedRuns(runs)
    point = paired.means()
    (value,) = paired.evaluate(figure, point[np.newaxis])
    if np.isnan(value):
        raise NotMeasured("the figure does not exist for these runs")
    lows, highs, method = _lines(paired, figure, point, draws, level, seed)
    tail = (1 - level) / 2
    at_worst, at_best = paired.evaluate(figure, lows), paired.evaluate(figure, highs)
    # A draw without the figure could lie anywhere: it counts against both limits.
    low = np.quantile(np.where(np.isnan(at_worst), -np.inf, at_worst), tail, method="lower")
    high = np.quantile(np.where(np.isnan(at_best), np.inf, at_best), 1 - tail, method="higher")
    if not np.isfinite([low, high]).all():
        share = max(np.isnan(at_worst).mean(), np.isnan(at_best).mean())
        raise NotMeasured(
            f"in {share:.0%} of the draws the figure does not exist; more items are needed"
        )
    if method == "percentile bootstrap" and low == high:
        raise NotMeasured(
            "all draws agree, and log-likelihoods have no bound on what an unseen item could do"
        )
    return Interval(float(min(low, value)), float(max(high, value)), level, method)


def cell_intervals(
    matrix: ScoreMatrix, *, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> dict[tuple[int, str], Interval]:
    """The :func:`interval` of every score in the matrix that has one.

    Args:
        matrix: With its items.
        draws: As for :func:`interval`, as are the following.
        level: Confidence level of each interval on its own.
        seed: Of each interval.

    Returns:
        By (row, task name); a cell is absent if it, or its items, were not measured.
    """
    found = {}
    for row in range(len(matrix.stages)):
        for task in matrix.tasks:
            try:
                cell = partial(_score, stage=row, task=task.name)
                limits = interval(cell, matrix, draws=draws, level=level, seed=seed)
            except NotMeasured:
                continue
            found[row, task.name] = limits
    return found


def _score(scores: Scores[V], stage: int, task: str) -> V:
    return scores.score(stage, task)


def _lines(
    paired: PairedRuns, figure: Formula, point: FloatArray, draws: int, level: float, seed: int
) -> _Lines:
    """Where to evaluate the figure for its two limits, and what that is called."""
    effect = _effects(paired, figure, point)
    read = [place for place, sign in zip(paired.places, effect, strict=True) if sign]
    items = {task: paired.items(task) for task in dict.fromkeys(place.task for place in read)}
    if not items:
        raise NotMeasured("no score changes this figure, so there is nothing to be unsure of")
    rng = np.random.default_rng(seed)
    if any(paired.runs[place.run].column(place.task).unit == "nats" for place in read):
        lines = np.tile(point, (draws, 1))
        for scores, where in items.values():
            lines[:, where] = resampled_means(scores, draws, rng)
        return lines, lines, "percentile bootstrap"

    worst = np.where(effect > 0, 0.0, np.where(effect < 0, 1.0, point))  # (C,)
    best = np.where(effect > 0, 1.0, np.where(effect < 0, 0.0, point))
    if len(items) == 1:
        ((scores, where),) = items.values()
        moving = effect[where] != 0
        exact = _exact_lines(scores[:, moving], where[moving], point, worst, best, level)
        if exact is not None:
            return exact
    lows, highs = np.tile(point, (draws, 1)), np.tile(point, (draws, 1))
    for scores, where in items.values():
        seen, unseen = weighted_means(scores, draws, rng)  # (draws, k), (draws, 1)
        lows[:, where] = (seen + unseen * worst[where]).clip(0, 1)  # up to rounding it is inside
        highs[:, where] = (seen + unseen * best[where]).clip(0, 1)
    return lows, highs, "bootstrap with an unseen item"


def _exact_lines(
    scores: FloatArray,
    where: IntArray,
    point: FloatArray,
    worst: FloatArray,
    best: FloatArray,
    level: float,
) -> _Lines | None:
    """The same for items of one task, shape (n, k), whose limits are known in closed form."""
    n, k = scores.shape
    if k == 1 and np.isin(scores, (0.0, 1.0)).all():
        limits = binomtest(round(scores.sum()), n).proportion_ci(level, method="exact")
        lows, highs = point.copy(), point.copy()
        lows[where] = limits.low if best[where] == 1 else limits.high
        highs[where] = limits.high if best[where] == 1 else limits.low
        return lows[np.newaxis], highs[np.newaxis], "Clopper-Pearson"
    if (scores == scores[0]).all():
        share = 1 - ((1 - level) / 2) ** (1 / n)  # upper quantile of Beta(1, n)
        lows, highs = point + share * (worst - point), point + share * (best - point)
        return lows[np.newaxis], highs[np.newaxis], "exact"
    return None


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
    return np.where(np.abs(effect) < _ROUNDING, 0.0, np.sign(effect))
