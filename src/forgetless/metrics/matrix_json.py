"""The score matrix as it is kept in matrix.json: means, intervals and counts, without the items.

The items stay in scores.jsonl, one line each; what is here is enough to draw the table and to
compute every figure again, though not its interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from forgetless.errors import DataError
from forgetless.metrics.bootstrap import cell_intervals
from forgetless.metrics.cells import Cell, CellMean
from forgetless.metrics.matrix import ScoreMatrix
from forgetless.metrics.scores import TaskColumn

FORMAT = 1
"""The format written, and the newest that is understood."""


def matrix_to_json(
    matrix: ScoreMatrix,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    intervals: bool = True,
) -> dict[str, Any]:
    """Lay a matrix out for matrix.json.

    Args:
        matrix: With or without its items.
        draws: Number of resampled matrices for the intervals that are not exact.
        level: Confidence level of the intervals.
        seed: Seed of the intervals.
        intervals: Whether to work the intervals out; they are null otherwise.

    Returns:
        Plain JSON values: ``format``; ``stages``; ``tasks`` (``name``, ``unit``, ``trained_in``);
        ``scores``, ``intervals``, ``n`` and ``errors``, each of shape (T+1, T'), null where there
        is none, ``n`` being the number of items that the score is the mean of; ``excluded``, by
        task, the number of items that no score of it counts; ``missing``, by task and row, why
        there is no score.

    Example:
        >>> from forgetless.metrics import ScoreMatrix, TaskColumn
        >>> matrix = ScoreMatrix.from_values(["base"], [TaskColumn("law")], [[0.5]])
        >>> matrix_to_json(matrix)["scores"]
        [[0.5]]
    """
    limits = cell_intervals(matrix, draws=draws, level=level, seed=seed) if intervals else {}
    places = [[(row, task.name) for task in matrix.tasks] for row in range(len(matrix.stages))]
    missing: dict[str, dict[str, str]] = {}
    for (row, task), reason in sorted(matrix.missing.items()):
        missing.setdefault(task, {})[str(row)] = reason
    return {
        "format": FORMAT,
        "stages": list(matrix.stages),
        "tasks": [
            {"name": task.name, "unit": task.unit, "trained_in": task.trained_in}
            for task in matrix.tasks
        ],
        "scores": matrix.values,
        "intervals": [
            [limits[at].to_json() if at in limits else None for at in line] for line in places
        ],
        "n": [
            [None if at in matrix.missing else matrix.item_count(at[1]) for at in line]
            for line in places
        ],
        "errors": [[_errors(matrix.cells.get(at)) for at in line] for line in places],
        "excluded": {task.name: matrix.excluded_items(task.name) for task in matrix.tasks},
        "missing": missing,
    }


def matrix_from_json(data: object, where: str = "matrix.json") -> ScoreMatrix:
    """Read a matrix back, without its items and intervals.

    Args:
        data: What was decoded from the file.
        where: Its name, for errors.

    Returns:
        A matrix of means, from which every figure comes out as before.

    Raises:
        DataError: if the content is not a matrix of this format.

    Example:
        >>> from forgetless.metrics import ScoreMatrix, TaskColumn
        >>> matrix = ScoreMatrix.from_values(["base"], [TaskColumn("law")], [[0.5]])
        >>> matrix_from_json(matrix_to_json(matrix)).score(0, "law")
        0.5
    """
    if not isinstance(data, Mapping):
        raise DataError(f"{where}: found {type(data).__name__}, needed an object")
    if data.get("format") != FORMAT:
        raise DataError(
            f"{where}: 'format' is {data.get('format')!r}, this version reads {FORMAT}",
            fix="read it with a newer forgetless:  git pull  in your clone",
        )
    try:
        return _matrix(cast("Mapping[str, Any]", data))
    except KeyError as error:
        raise DataError(f"{where}: {error} is missing") from error
    except (AttributeError, IndexError, OverflowError, TypeError, ValueError) as error:
        raise DataError(f"{where}: not a score matrix ({error})") from error


def _matrix(data: Mapping[str, Any]) -> ScoreMatrix:
    tasks = [TaskColumn(task["name"], task["unit"], task["trained_in"]) for task in data["tasks"]]
    scores, counts, errors = data["scores"], data["n"], data["errors"]
    for name in ("scores", "n", "errors"):
        shape = [len(line) for line in data[name]]
        if shape != [len(tasks)] * len(data["stages"]):
            raise ValueError(
                f"'{name}' has rows of {shape} entries for {len(data['stages'])} stages "
                f"and {len(tasks)} tasks"
            )
    cells = {
        (row, task.name): CellMean(
            mean=scores[row][column],
            items=counts[row][column],
            errors=errors[row][column],
            excluded=data["excluded"][task.name],
        )
        for row in range(len(data["stages"]))
        for column, task in enumerate(tasks)
        if scores[row][column] is not None
    }
    missing = {
        (int(row), task): reason
        for task, rows in data["missing"].items()
        for row, reason in rows.items()
    }
    return ScoreMatrix(data["stages"], tasks, cells, missing)


def _errors(cell: Cell | CellMean | None) -> int | None:
    if cell is None:
        return None
    return len(cell.errors) if isinstance(cell, Cell) else cell.errors
