"""What a run had come to after one of its stages."""

from __future__ import annotations

from collections.abc import Callable

from forgetless.errors import NotMeasured
from forgetless.metrics.figures import average_accuracy
from forgetless.metrics.matrix import ScoreMatrix
from forgetless.metrics.retention import average_forgetting, forgetting
from forgetless.metrics.scores import TaskColumn


def matrix_until(matrix: ScoreMatrix, stage: int) -> ScoreMatrix:
    """The matrix as it was when a stage had ended.

    Args:
        matrix: The whole matrix.
        stage: The last row that is kept; tasks that are trained later are only tested so far.

    Example:
        >>> columns = [TaskColumn("law", trained_in=1), TaskColumn("tax", trained_in=2)]
        >>> whole = ScoreMatrix.from_values(
        ...     ["base", "law", "tax"], columns, [[0.5, 0.25], [0.75, 0.125], [0.5, 1.0]]
        ... )
        >>> early = matrix_until(whole, 1)
        >>> early.stages, [task.trained_in for task in early.tasks]
        (('base', 'law'), [1, None])
    """
    columns = [
        TaskColumn(
            task.name,
            task.unit,
            None if (task.trained_in or 0) > stage else task.trained_in,
            task.groups,
        )
        for task in matrix.tasks
    ]
    cells = {place: cell for place, cell in matrix.cells.items() if place[0] <= stage}
    missing = {
        place: reason
        for place, reason in matrix.missing.items()
        if place[0] <= stage and place not in cells
    }
    return ScoreMatrix(matrix.stages[: stage + 1], columns, cells, missing)


def figures_after(matrix: ScoreMatrix, stage: int) -> dict[str, float]:
    """Scores, forgetting so far and their averages after a stage, by name.

    Args:
        matrix: A matrix whose rows reach that stage.
        stage: The row.

    Returns:
        ``score/TASK`` and, where something was there to forget, ``forgetting/TASK`` (positive =
        lost) in the unit of the task; ``average_accuracy`` and ``average_forgetting`` over the
        tasks trained so far.  What was not measured is absent.

    Example:
        >>> columns = [TaskColumn("law", trained_in=1), TaskColumn("tax", trained_in=2)]
        >>> whole = ScoreMatrix.from_values(
        ...     ["base", "law", "tax"], columns, [[0.5, 0.25], [0.75, 0.125], [0.5, 1.0]]
        ... )
        >>> figures_after(whole, 1)
        {'score/law': 0.75, 'score/tax': 0.125, 'forgetting/tax': 0.125, 'average_accuracy': 0.75}
    """
    until = matrix_until(matrix, stage)
    formulas: dict[str, Callable[[ScoreMatrix], float]] = {
        **{f"score/{task.name}": _score_of(task.name) for task in until.tasks},
        **{f"forgetting/{task.name}": _forgetting_of(task.name) for task in until.tasks},
        "average_accuracy": average_accuracy,
        "average_forgetting": average_forgetting,
    }
    found = {}
    for name, formula in formulas.items():
        try:
            found[name] = float(formula(until))
        except NotMeasured:
            continue
    return found


def _score_of(task: str) -> Callable[[ScoreMatrix], float]:
    return lambda matrix: matrix.score(matrix.last, task)


def _forgetting_of(task: str) -> Callable[[ScoreMatrix], float]:
    return lambda matrix: forgetting(matrix, task)
