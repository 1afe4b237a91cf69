"""What became of several tasks that say something about the same ability."""

from __future__ import annotations

from collections.abc import Sequence

from forgetless.metrics.evidence import Evidence
from forgetless.metrics.matrix import ScoreMatrix
from forgetless.metrics.retention import average_retention_change
from forgetless.metrics.scores import TaskColumn
from forgetless.metrics.summary import Figure, estimate


def mean_change(
    evidence: Sequence[Evidence], *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> Figure:
    """Mean over tasks of the change of each, ``(1/T) sum_t (after_t - before_t)``.

    Args:
        evidence: Tasks scored in [0, 1].
        level: Confidence level of the interval.
        draws: Bootstrap draws.
        seed: The same seed gives the same interval.

    Returns:
        Negative = lost.

    Source: Wang et al. 2023 (TRACE, arXiv 2310.06762), section 3: general ability, instruction
    following and safety delta.
    """
    matrix = ScoreMatrix(
        ["before", "after"],
        [TaskColumn(one.task, one.unit) for one in evidence],
        {
            (row, one.task): cell
            for one in evidence
            for row, cell in enumerate((one.before, one.after))
        },
    )
    return estimate(average_retention_change, matrix, draws=draws, level=level, seed=seed)
