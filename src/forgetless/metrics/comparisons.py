"""A method against its bounds: plain sequential training below, joint training above.

These figures need further runs of the same tasks; see :mod:`forgetless.metrics.figures` for the
notation.  The examples share a sequential run and a joint one:

    >>> from forgetless.metrics import ScoreMatrix, TaskColumn
    >>> law, tax = TaskColumn("law", trained_in=1), TaskColumn("tax", trained_in=2)
    >>> run = ScoreMatrix.from_values(
    ...     ["base", "law", "tax"], [law, tax], [[0.5, 0.25], [0.75, 0.375], [0.5, 1.0]]
    ... )
    >>> both = [TaskColumn("law", trained_in=1), TaskColumn("tax", trained_in=1)]
    >>> joint = ScoreMatrix.from_values(["base", "joint"], both, [[0.5, 0.25], [0.875, 1.0]])
"""

from __future__ import annotations

from typing import cast

import numpy as np

from forgetless.errors import NotMeasured
from forgetless.metrics.figures import average_accuracy, learned_score, trained_tasks
from forgetless.metrics.scores import Scores, V, mean


def intransigence(scores: Scores[V], joint: Scores[V], task: str) -> V:
    """How much of a task the method failed to learn that joint training does learn.

    ``I_k = a*_k - R[t(k), k]``, with a*_k the score of the joint model.

    Args:
        scores: The method's matrix, or a stack.
        joint: Matrix of the joint run: either cumulative, row k trained on the first k tasks, or a
            single stage trained on all of them.
        task: Name of the column.

    Returns:
        In the unit of the task; positive = the method holds learning back, negative = it learns
        the task better than joint training.

    Raises:
        NotMeasured: if either run lacks the task or does not train it, or a cell is missing.

    Source: Chaudhry et al. 2018, Riemannian Walk (RWalk), intransigence measure I_k.

    Differs: the paper's joint model for task k has seen the tasks up to k.  So has a cumulative
    run, taken at the row where the task is first included; a single-stage run has also seen the
    later ones, which usually costs it a little on each.

    Example:
        >>> intransigence(run, joint, "law")
        0.125
    """
    if all(column.name != task for column in joint.tasks):
        raise NotMeasured(f"task '{task}' is not in the joint run")
    return learned_score(joint, task) - learned_score(scores, task)


def average_intransigence(scores: Scores[V], joint: Scores[V]) -> V:
    """How much the method failed to learn, on average over the trained tasks.

    ``I = mean_k I_k``.

    Args:
        scores: The method's matrix, or a stack.
        joint: Matrix of the joint run, cumulative or in a single stage.

    Returns:
        In [-1, 1]; positive = the method holds learning back.

    Raises:
        NotMeasured: if no trained task is scored as an accuracy, or a task or cell is missing.

    Source: Chaudhry et al. 2018, Riemannian Walk (RWalk), intransigence measure I_k.

    Differs: the paper states I_k after each task; this is their mean.  See :func:`intransigence`.

    Example:
        >>> average_intransigence(run, joint)
        0.0625
    """
    return mean([intransigence(scores, joint, task.name) for task in trained_tasks(scores)])


def gap_closed(method: Scores[V], sequential: Scores[V], joint: Scores[V]) -> V:
    """How much of the way from the lower to the upper bound a method goes.

    ``(ACC_method - ACC_sequential) / (ACC_joint - ACC_sequential)``, ACC the final
    :func:`average_accuracy`.

    Args:
        method: The method's matrix, or a stack.
        sequential: Matrix of plain sequential training: the lower bound.
        joint: Matrix of joint training: the upper bound.

    Returns:
        1 = as good as joint training, 0 = no better than no protection, negative = worse than
        none.  In a stack, a place where there is no gap is NaN: no such figure in that draw.

    Raises:
        NotMeasured: if joint training is no better than sequential training, so that there is no
            gap to close, or a cell is missing.
        ValueError: if the runs do not train the same tasks.

    Example:
        >>> gap_closed(run, run, joint)
        0.0
    """
    tasks = [sorted(task.name for task in run.trained()) for run in (method, sequential, joint)]
    for other, role in zip(tasks[1:], ("sequential", "joint"), strict=True):
        if other != tasks[0]:
            raise ValueError(
                f"the {role} run trains {', '.join(other) or 'nothing'}, "
                f"the method {', '.join(tasks[0]) or 'nothing'}; needed the same tasks"
            )
    low, high = average_accuracy(sequential), average_accuracy(joint)
    closed, gap = average_accuracy(method) - low, high - low
    if isinstance(gap, np.ndarray):
        exists = gap > 0
        return cast("V", np.where(exists, closed / np.where(exists, gap, 1.0), np.nan))
    if gap <= 0:
        raise NotMeasured(
            f"there is no gap to close: joint training ends at {high:.3f}, "
            f"plain sequential training at {low:.3f}"
        )
    return closed / gap
