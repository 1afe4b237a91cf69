"""Short ways to write score matrices down in tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from forgetless.metrics import Cell, ScoreMatrix, TaskColumn, Unit

Column = tuple[int | None, Sequence[float | None]]


def by_hand(*, unit: Unit = "accuracy", **columns: Column) -> ScoreMatrix:
    """A matrix of means from columns ``name=(trained_in, [score after stage 0, 1, ...])``."""
    tasks = [TaskColumn(name, unit, trained_in) for name, (trained_in, _) in columns.items()]
    rows = list(zip(*(scores for _, scores in columns.values()), strict=True))
    return ScoreMatrix.from_values([f"stage {i}" for i in range(len(rows))], tasks, rows)


def cell(scores: str | Sequence[float]) -> Cell:
    """Items q0, q1, ...: from ``"110x"`` (right, right, wrong, failed) or from graded scores."""
    if not isinstance(scores, str):
        return Cell({f"q{i}": float(score) for i, score in enumerate(scores)})
    return Cell(
        {f"q{i}": float(mark) for i, mark in enumerate(scores) if mark != "x"},
        {f"q{i}": "timeout" for i, mark in enumerate(scores) if mark == "x"},
    )


def itemised(
    columns: Mapping[str, Sequence[str | Sequence[float] | None]],
    *,
    trained_in: Mapping[str, int] | None = None,
    unit: Unit = "accuracy",
) -> ScoreMatrix:
    """A matrix with items from ``name: [items after stage 0, 1, ...]``; ``None`` is missing."""
    stages = max(len(rows) for rows in columns.values())
    return ScoreMatrix(
        [f"stage {i}" for i in range(stages)],
        [TaskColumn(name, unit, (trained_in or {}).get(name)) for name in columns],
        {
            (row, name): cell(scores)
            for name, rows in columns.items()
            for row, scores in enumerate(rows)
            if scores is not None
        },
    )
