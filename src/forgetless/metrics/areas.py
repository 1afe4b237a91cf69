"""What became of several tasks together: of general ability, say, or of safety."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from forgetless.metrics.evidence import Evidence
from forgetless.metrics.matrix import ScoreMatrix
from forgetless.metrics.scores import TaskColumn, mean
from forgetless.metrics.summary import Figure, estimate


def mean_change(
    evidence: Sequence[Evidence], *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> Figure:
    """Mean over tasks of after less before, each task with the same weight.

    ``mean_j (R[after, j] - R[before, j])`` over the tasks j that are scored as accuracies.

    Args:
        evidence: The tasks of one area.
        level: Confidence level.
        draws: Bootstrap draws.
        seed: Of the draws.

    Returns:
        In [-1, 1]; negative = lost.  Absent, with the reason, if no task is scored as an accuracy,
        or one of them has no item that both models answered.

    Source: Wang et al. 2023, TRACE, section 3.4: general ability delta, instruction following
    delta, safety delta.

    Differs: one step, from before to after; the paper's deltas run over a sequence of tasks.
    """
    tasks = [e for e in evidence if e.unit == "accuracy"]
    if not tasks:
        return Figure(None, None, "no task is scored as an accuracy; nats are not averaged")
    matrix = ScoreMatrix(
        ["before", "after"],
        [TaskColumn(e.task, groups=e.groups) for e in tasks],
        {(row, e.task): cell for e in tasks for row, cell in enumerate((e.before, e.after))},
    )
    formula = partial(_mean_change, tasks=[e.task for e in tasks])
    return estimate(formula, matrix, draws=draws, level=level, seed=seed)


def _mean_change(scores: Any, tasks: Sequence[str]) -> Any:
    return mean([scores.score(1, task) - scores.score(0, task) for task in tasks])
