"""What one run lost, or kept: of the tasks it trained, and of knowledge that it only tested.

See :mod:`forgetless.metrics.figures` for the notation.  The examples share the run from there:

    >>> from forgetless.metrics import ScoreMatrix, TaskColumn
    >>> law, tax = TaskColumn("law", trained_in=1), TaskColumn("tax", trained_in=2)
    >>> run = ScoreMatrix.from_values(
    ...     ["base", "law", "tax"],
    ...     [law, tax, TaskColumn("general")],
    ...     [[0.5, 0.25, 0.875], [0.75, 0.375, 0.8125], [0.5, 1.0, 0.75]],
    ... )
"""

from __future__ import annotations

from forgetless.errors import NotMeasured
from forgetless.metrics.figures import tasks_trained_earlier
from forgetless.metrics.scores import Scores, V, largest, mean


def forgetting(scores: Scores[V], task: str, *, count_base: bool = True) -> V:
    """How far a task has fallen below its best earlier score.

    ``f_j = max_{l < T} R[l, j] - R[T, j]``.

    Args:
        scores: One matrix, or a stack.
        task: Name of the column.
        count_base: Whether the untouched model counts as an earlier row.  It does by default: a
            language model knows things before its first stage, and can forget them.  For a task
            that is only tested it always counts.

    Returns:
        In the unit of the task; positive = lost, negative = improved, never clipped.

    Raises:
        NotMeasured: if nothing came after the task was trained, or a cell is missing.

    Source: Chaudhry et al. 2018, Riemannian Walk (RWalk), forgetting measure f_j^k with k = T.

    Differs: the paper leaves out row 0 (``count_base=False``).  Its maximum runs over all earlier
    stages l, while its scores a_{l,j} exist only for tasks already trained, j <= l.  Rows before
    that count here where they were measured, and are left out where they were not.

    Example:
        >>> forgetting(run, "law")  # .75 after stage 1, .5 after stage 2
        0.25
    """
    final = scores.score(scores.last, task)
    return best_earlier(scores, task, count_base=count_base) - final


def average_forgetting(scores: Scores[V], *, count_base: bool = True) -> V:
    """How far the trained tasks have fallen, on average, below their best earlier scores.

    ``F = mean_j f_j`` over the tasks trained before the last stage.

    Args:
        scores: One matrix, or a stack.
        count_base: Whether the untouched model counts as an earlier row.

    Returns:
        In [-1, 1]; positive = lost, negative = improved, never clipped.

    Raises:
        NotMeasured: if every task was trained in the last stage, or a cell is missing.

    Source: Chaudhry et al. 2018, Riemannian Walk (RWalk), average forgetting F_k with k = T.

    Differs: see :func:`forgetting`.

    Example:
        >>> average_forgetting(run)
        0.25
    """
    return mean(
        [
            forgetting(scores, task.name, count_base=count_base)
            for task in tasks_trained_earlier(scores)
        ]
    )


def retention_change(scores: Scores[V], task: str) -> V:
    """What the whole run did to a task, from the untouched model to the final one.

    ``R[T, j] - R[0, j]``.

    Args:
        scores: One matrix, or a stack.
        task: Name of the column; most telling for one that is only tested.

    Returns:
        In the unit of the task; negative = lost, positive = improved.

    Raises:
        NotMeasured: if there is no stage yet, or a cell is missing.

    Example:
        >>> retention_change(run, "general")
        -0.125
    """
    _check_there_are_stages(scores)
    return scores.score(scores.last, task) - scores.score(0, task)


def average_retention_change(scores: Scores[V]) -> V:
    """What the run did, on average, to the tasks that it only tested.

    ``mean_j (R[T, j] - R[0, j])`` over the tasks that no stage trains.

    Args:
        scores: One matrix, or a stack.

    Returns:
        In [-1, 1]; negative = lost, positive = improved.

    Raises:
        NotMeasured: if there is no such task, or a cell is missing.

    Example:
        >>> average_retention_change(run)
        -0.125
    """
    tested = scores.only_tested()
    if not tested:
        raise NotMeasured("no task is only tested, so there is no knowledge outside the sequence")
    return mean([retention_change(scores, task.name) for task in tested])


def best_earlier(scores: Scores[V], task: str, *, count_base: bool = True) -> V:
    """The best score before the last stage, which :func:`forgetting` is measured from.

    Args:
        scores: One matrix, or a stack.
        task: Name of the column.
        count_base: Whether the untouched model counts; always so for a task only tested.

    Returns:
        In the unit of the task.

    Raises:
        NotMeasured: if nothing came after the task was trained, or a cell is missing.
    """
    _check_there_are_stages(scores)
    stage = scores.column(task).trained_in
    if stage == scores.last:
        raise NotMeasured(
            f"task '{task}' is trained in the last stage; nothing came after it to forget it by"
        )
    first = 0 if stage is None else stage
    rows = {row for row in range(1, first) if (row, task) not in scores.missing}
    rows.update(range(first, scores.last))
    if count_base:
        rows.add(0)
    return largest([scores.score(row, task) for row in sorted(rows)])


def _check_there_are_stages(scores: Scores[V]) -> None:
    if scores.last == 0:
        raise NotMeasured("only the untouched model was measured; there is nothing to compare")
