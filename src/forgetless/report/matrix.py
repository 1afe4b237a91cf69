"""Build the score matrix of a run from the items that it scored."""

from __future__ import annotations

from collections.abc import Sequence

from forgetless.metrics import Cell, ScoreMatrix, TaskColumn
from forgetless.report.data import ItemScore, StageInfo, TaskInfo
from forgetless.report.wording import count


def build_matrix(
    tasks: Sequence[TaskInfo],
    stages: Sequence[StageInfo],
    scores: Sequence[Sequence[ItemScore] | None],
) -> tuple[ScoreMatrix, list[str]]:
    """Build R from single items, so that every figure can pair them.

    Args:
        tasks: The columns.
        stages: The rows, 0 first.
        scores: Per stage, the items of all tasks; ``None`` where the stage is not done.

    Returns:
        The matrix, and a warning for each task whose figures rest on fewer items than it has.
    """
    cells: dict[tuple[int, str], Cell] = {}
    groups: dict[str, dict[str, str]] = {task.name: {} for task in tasks}
    missing: dict[tuple[int, str], str] = {}
    for stage, items in zip(stages, scores, strict=True):
        of_task: dict[str, list[ItemScore]] = {}
        for item in items or ():
            of_task.setdefault(item.task, []).append(item)
        for task in tasks:
            if items is None:
                missing[stage.index, task.name] = f"stage '{stage.name}' is not finished"
                continue
            own = of_task.get(task.name)
            if not own:
                missing[stage.index, task.name] = f"stage '{stage.name}' scored no item of it"
                continue
            cells[stage.index, task.name] = Cell(
                {item.item: item.score for item in own if item.score is not None},
                {item.item: item.error for item in own if item.error is not None},
            )
            groups[task.name].update({item.item: item.group for item in own if item.group})
    columns = [
        TaskColumn(task.name, task.unit, task.trained_in, groups[task.name]) for task in tasks
    ]
    matrix = ScoreMatrix([stage.name for stage in stages], columns, cells, missing)
    return matrix, [text for task in tasks for text in _warnings(task, cells, matrix)]


def _warnings(task: TaskInfo, cells: dict[tuple[int, str], Cell], matrix: ScoreMatrix) -> list[str]:
    rows = {row: cell for (row, name), cell in cells.items() if name == task.name}
    warnings = []
    crashed = sum(len(cell.errors) for cell in rows.values())
    excluded = matrix.excluded_items(task.name)
    if crashed:
        worst = max(rows, key=lambda row: len(rows[row].errors))
        most, reason = len(rows[worst].errors), next(iter(rows[worst].errors.values()))
        where = (
            f" after stage {worst}" if most == crashed else f", {most} of them after stage {worst}"
        )
        warnings.append(
            f"task '{task.name}': {count(crashed, 'answer')} could not be scored{where} "
            f"(the first: {reason}); all its scores leave out {count(excluded, 'item')}"
        )
    elif excluded:
        warnings.append(
            f"task '{task.name}': the results of some stages lack {count(excluded, 'item')}, "
            "which all its scores leave out"
        )
    short = [row for row, c in rows.items() if len(c.scores) + len(c.errors) != task.test_items]
    if short:
        found = len(rows[short[0]].scores) + len(rows[short[0]].errors)
        warnings.append(
            f"task '{task.name}': {found} items are in the results of stage {short[0]}, "
            f"the run announced {task.test_items}"
        )
    return warnings
