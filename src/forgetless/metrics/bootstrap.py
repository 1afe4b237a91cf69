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

Forgetting has a trap of its own: it starts from the *best* earlier row.  Where several are equally
good, noise picks the luckiest, and the figure is positive though nothing was lost.  The draws show
this bias, by lying above the figure on average, but only about half of it, because the rows of a
sample lie further apart than the true ones.  So a limit is moved out by three times the bias seen:
once for the draws, twice for the figure.  In a simulated worst case, six rows of unrelated answers
of equal quality, "lost" is then said in 6% of samples in place of 22% (2000 draws; 2.5% would be
ideal).  Where one row stands out, nothing moves.

Items that share a passage or a template are not independent, and many of them say no more than
a few.  Where groups are given, whole groups are drawn, and the unseen one is a group of mean size:
three groups of a hundred items leave as much room as three items.  Groups of one item change
nothing.  For log-likelihoods, which have no bound, few groups move the limits out as Student's t
lies beyond the normal.

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

import numpy as np

from forgetless.errors import NotMeasured
from forgetless.metrics.limits import IntervalMethod, limit_lines
from forgetless.metrics.matrix import ScoreMatrix
from forgetless.metrics.pairing import Formula, PairedRuns
from forgetless.metrics.scores import FloatArray, Scores, V

_BIAS_WEIGHT = 3.0
"""By how many times the bias of the draws a limit is moved out."""


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
    what training again would give.

    Args:
        figure: Any figure of this package, or a function of it; it takes one stack per run, and
            moves in one direction when a single cell grows.
        runs: One matrix, or as many as the figure takes; their items are paired, and those of one
            group are drawn together.
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
    lines = limit_lines(paired, figure, point, draws, level, seed)
    tail = (1 - level) / 2
    at_worst, at_best = paired.evaluate(figure, lines.low), paired.evaluate(figure, lines.high)
    # A draw without the figure could lie anywhere: it counts against both limits.
    low = np.quantile(np.where(np.isnan(at_worst), -np.inf, at_worst), tail, method="lower")
    high = np.quantile(np.where(np.isnan(at_best), np.inf, at_best), 1 - tail, method="higher")
    if not np.isfinite([low, high]).all():
        share = max(np.isnan(at_worst).mean(), np.isnan(at_best).mean())
        raise NotMeasured(
            f"in {share:.0%} of the draws the figure does not exist; more items are needed"
        )
    if lines.method == "percentile bootstrap" and low == high:
        raise NotMeasured(
            "all draws agree, and log-likelihoods have no bound on what an unseen item could do"
        )
    bias = _bias(paired.evaluate(figure, lines.middle) - value)
    low, high = low - _BIAS_WEIGHT * max(bias, 0.0), high - _BIAS_WEIGHT * min(bias, 0.0)
    return Interval(float(min(low, value)), float(max(high, value)), level, lines.method)


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
    for task in matrix.tasks:
        column = matrix.of_task(task.name)  # other tasks would only cost time
        for row in range(len(matrix.stages)):
            try:
                cell = partial(_score, stage=row, task=task.name)
                limits = interval(cell, column, draws=draws, level=level, seed=seed)
            except NotMeasured:
                continue
            found[row, task.name] = limits
    return found


def _score(scores: Scores[V], stage: int, task: str) -> V:
    return scores.score(stage, task)


def _bias(deviations: FloatArray) -> float:
    """How far draws lie from the figure on average, beyond what their own noise can explain."""
    found = deviations[~np.isnan(deviations)]
    found = found.clip(*np.quantile(found, (0.005, 0.995)))  # a ratio has wild outliers
    noise = 3 * found.std() / np.sqrt(len(found))
    return float(np.sign(found.mean()) * max(0.0, abs(found.mean()) - noise))
