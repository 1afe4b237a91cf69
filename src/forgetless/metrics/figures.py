"""What one run learned, and what its stages did to one another.

Notation: R[i, j] is the score on task j after stage i, row 0 is the untouched model, T is the last
stage, and t(j) is the stage in which task j is trained.  The papers train one task per stage, so
that t(j) = j.  Averages run over accuracies only: nats have no common scale with them.

Every figure takes one matrix and gives a number, or a stack of matrices and gives an array.  The
examples share one run of two stages, with a third task that is only tested:

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
from forgetless.metrics.scores import Scores, TaskColumn, V, mean


def average_accuracy(scores: Scores[V]) -> V:
    """How good the final model is, on average, at everything it was trained on.

    ``ACC = mean_j R[T, j]`` over the trained tasks j.

    Args:
        scores: One matrix, or a stack.

    Returns:
        In [0, 1], higher is better.

    Raises:
        NotMeasured: if no trained task is scored as an accuracy, or a cell is missing.

    Source: Lopez-Paz & Ranzato 2017, Gradient Episodic Memory, eq. 2.

    Example:
        >>> average_accuracy(run)
        0.75
    """
    return mean([scores.score(scores.last, task.name) for task in trained_tasks(scores)])


def learning_accuracy(scores: Scores[V]) -> V:
    """How well each task is learned at first, before anything can overwrite it.

    ``LA = mean_j R[t(j), j]`` over the trained tasks j.

    Args:
        scores: One matrix, or a stack.

    Returns:
        In [0, 1], higher is better.

    Raises:
        NotMeasured: if no trained task is scored as an accuracy, or a cell is missing.

    Source: Riemer et al. 2019, Learning to Learn without Forgetting (MER), learning accuracy.

    Example:
        >>> learning_accuracy(run)
        0.875
    """
    return mean([learned_score(scores, task.name) for task in trained_tasks(scores)])


def backward_transfer(scores: Scores[V]) -> V:
    """What later stages did to tasks that were already learned.

    ``BWT = mean_j (R[T, j] - R[t(j), j])`` over the tasks trained before the last stage.

    Args:
        scores: One matrix, or a stack.

    Returns:
        In [-1, 1]; negative = lost, positive = improved by what came later.

    Raises:
        NotMeasured: if every task was trained in the last stage, or a cell is missing.

    Source: Lopez-Paz & Ranzato 2017, Gradient Episodic Memory, eq. 3.

    Example:
        >>> backward_transfer(run)
        -0.25
    """
    return mean(
        [
            scores.score(scores.last, task.name) - learned_score(scores, task.name)
            for task in tasks_trained_earlier(scores)
        ]
    )


def forward_transfer(scores: Scores[V]) -> V:
    """What earlier stages did for tasks that were yet to be learned.

    ``FWT = mean_j (R[t(j)-1, j] - R[0, j])`` over the tasks trained after the first stage.

    Args:
        scores: One matrix, or a stack.

    Returns:
        In [-1, 1]; positive = earlier stages helped.

    Raises:
        NotMeasured: if no task is trained after the first stage, or a cell is missing.

    Source: Lopez-Paz & Ranzato 2017, Gradient Episodic Memory, eq. 4.

    Differs: the baseline is the untouched pretrained model, row 0, where the paper takes a random
    initialisation; what pretraining taught is not credited to the sequence.

    Example:
        >>> forward_transfer(run)
        0.125
    """
    later = [task for task in trained_tasks(scores) if stage_of(task) > 1]
    if not later:
        raise NotMeasured(
            "forward transfer needs a task trained after stage 1; here all are trained in it"
        )
    return mean(
        [scores.score(stage_of(task) - 1, task.name) - scores.score(0, task.name) for task in later]
    )


def learned_score(scores: Scores[V], task: str) -> V:
    """The score right after the stage in which the task is trained: ``R[t(j), j]``.

    Raises:
        NotMeasured: if the task is only tested, or the cell is missing.
    """
    stage = scores.column(task).trained_in
    if stage is None:
        raise NotMeasured(f"task '{task}' is only tested, so it has no learned score")
    return scores.score(stage, task)


def trained_tasks(scores: Scores[V]) -> list[TaskColumn]:
    """The trained tasks that averages run over: those scored as accuracies.

    Raises:
        NotMeasured: if there are none.
    """
    tasks = scores.trained()
    if not tasks:
        raise NotMeasured("no trained task is scored as an accuracy; nats are not averaged")
    return tasks


def tasks_trained_earlier(scores: Scores[V]) -> list[TaskColumn]:
    """Those of :func:`trained_tasks` that a later stage could have changed.

    Raises:
        NotMeasured: if there are none.
    """
    tasks = [task for task in trained_tasks(scores) if stage_of(task) < scores.last]
    if not tasks:
        raise NotMeasured(
            "all tasks are trained in the last stage, so nothing came after them to change them"
        )
    return tasks


def stage_of(task: TaskColumn) -> int:
    """The stage t(j) of a task that is known to be trained."""
    assert task.trained_in is not None, f"task '{task.name}' is only tested"
    return task.trained_in
