"""Two rows of one task as evidence, so that a report judges by the tests of an audit."""

from __future__ import annotations

from collections.abc import Mapping, Set

from forgetless.metrics import Cell, Evidence, by_reading, chance_of_choosing
from forgetless.report.data import ItemScore, RunResults, TaskInfo


def evidence_between(run: RunResults, task: TaskInfo, before: int, after: int) -> Evidence:
    """What became of a task between two rows, over the items that its figures rest on.

    An item that another row could not score is left out, as it is of every figure; one that only
    one of these two scored stays, as one that may have been lost.

    Args:
        run: The run.
        task: The task.
        before: A row of its matrix.
        after: A later one.

    Raises:
        NotMeasured: if one of the two was not measured.
    """
    counted = frozenset(run.matrix.paired(task.name).ids)
    old, new = (run.matrix.cell(row, task.name) for row in (before, after))
    elsewhere = (old.scores.keys() & new.scores.keys()) - counted
    first, last = (
        {name: item for name, item in run.items(row, task.name).items() if name in counted}
        for row in (before, after)
    )
    return Evidence(
        task=task.name,
        unit=task.unit,
        before=_without(old, elsewhere),
        after=_without(new, elsewhere),
        groups=run.matrix.column(task.name).groups,
        chance=_chance(task, first) or None,
        readings_before=by_reading({name: item.readings for name, item in first.items()}),
        readings_after=by_reading({name: item.readings for name, item in last.items()}),
        parts={name: name.split("/")[0] for name in first} if task.graded else {},
    )


def _without(cell: Cell, left_out: Set[str]) -> Cell:
    scores = {item: score for item, score in cell.scores.items() if item not in left_out}
    return Cell(scores, cell.errors)


def _chance(task: TaskInfo, items: Mapping[str, ItemScore]) -> dict[str, float]:
    if task.scorer != "multiple_choice":
        return {}
    return chance_of_choosing({name: item.choices for name, item in items.items()})
