"""Which test items two runs have in common: those that have one id and ask the same."""

from __future__ import annotations

from forgetless.metrics import ScoreMatrix, leave_out
from forgetless.report.data import ItemScore, RunResults


def asked_otherwise(first: RunResults, second: RunResults, task: str) -> set[str]:
    """Ids that both runs have in a task, of items that do not ask the same.

    Items of one hash are the same however they are put: a template may write the date of the day.
    """
    noted = {one.test_sha256 for run in (first, second) for one in run.tasks if one.name == task}
    if len(noted) == 1 and None not in noted:
        return set()
    here, there = (
        {item.item: _asked(item) for row in run.scores for item in row or () if item.task == task}
        for run in (first, second)
    )
    return {item for item in here.keys() & there.keys() if here[item] != there[item]}


def _asked(item: ItemScore) -> tuple[str, str, tuple[str, ...] | None]:
    return item.prompt, item.gold, item.choices


def beside(run: RunResults, other: RunResults) -> ScoreMatrix:
    """The scores of another run, to be set against those of a run item by item.

    An item that asks something else than the run's item of that id has no score.
    """
    items = {task.name: asked_otherwise(run, other, task.name) for task in run.tasks}
    return leave_out(other.matrix, items, f"it asks something else in {run.name}")
