"""What became of one task in one run: learned or not, lost or kept, or too close to call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from forgetless.errors import NotMeasured
from forgetless.metrics import (
    Figure,
    Flips,
    Summary,
    TaskSummary,
    Unit,
    find_flips,
    holm,
    items_needed,
)
from forgetless.report.changes import rows_compared
from forgetless.report.data import RunResults, TaskInfo

Fate = Literal["lost", "kept", "improved", "inconclusive", "absent"]
Learning = Literal["learned", "known", "not learned", "only tested", "absent"]

MARGIN: Mapping[Unit, float] = {"accuracy": 0.05, "nats": 0.05}
"""A loss whose upper limit is at most this counts as none: the task was kept."""

KNOWN = 0.9
"""A task scored at least so high before its stage was known already, and could not be taught."""


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """What became of one task.

    Attributes:
        task: The task.
        summary: Its figures.
        before: Score right before its stage; absent if it is only tested.
        gain: What its stage taught: learned less before.
        start: What loss is measured from: the learned score, or the untouched model's if the task
            is only tested.
        loss: ``start - final``; positive = lost.  Unlike forgetting it does not pick the best of
            several rows, which noise alone lifts, so judgements rest on it.
        learning: Whether its stage taught it.
        fate: Whether it was lost afterwards, as far as the interval of ``loss`` decides.
        items_needed: About how many items would decide, where the fate is inconclusive.
        flips: The items lost and gained since ``start``, where scores are right or wrong.
        flips_reason: Why there are no flips.
        p_adjusted: McNemar's p-value, Holm-adjusted over the tasks of the run.
    """

    task: TaskInfo
    summary: TaskSummary
    before: Figure
    gain: Figure
    start: Figure
    loss: Figure
    learning: Learning
    fate: Fate
    items_needed: int | None
    flips: Flips | None
    flips_reason: str | None
    p_adjusted: float | None


def judge_tasks(
    run: RunResults, summary: Summary, find: Callable[..., Figure]
) -> tuple[TaskOutcome, ...]:
    """Judge every task of a run.

    Args:
        run: The run.
        summary: Its figures.
        find: Puts an interval on a formula over the run's matrix.

    Returns:
        In the order of the columns.
    """
    flips = [_flips(run, task) for task in run.tasks]
    known = [found.p_value for found, _ in flips if found is not None]
    adjusted = iter(holm(known))
    return tuple(
        _judge(run, task, summary.task(task.name), find, found, reason, adjusted)
        for task, (found, reason) in zip(run.tasks, flips, strict=True)
    )


def judge_loss(loss: Figure, unit: Unit) -> Fate:
    """Decide by the interval alone.

    Lost if all of it is above 0, improved if all is below, kept if it leaves room for no loss above
    the margin, else inconclusive.
    """
    if loss.value is None:
        return "absent"
    if loss.interval is None:
        return "inconclusive"
    if loss.interval.low > 0:
        return "lost"
    if loss.interval.high < 0:
        return "improved"
    return "kept" if loss.interval.high <= MARGIN[unit] else "inconclusive"


def _judge(
    run: RunResults,
    task: TaskInfo,
    summary: TaskSummary,
    find: Callable[..., Figure],
    flips: Flips | None,
    flips_reason: str | None,
    adjusted: Any,
) -> TaskOutcome:
    only_tested = Figure(None, None, f"task '{task.name}' is only tested")
    before = gain = only_tested
    column = run.matrix.of_task(task.name)
    if task.trained_in is not None:
        before = find(partial(_score, row=task.trained_in - 1, task=task.name), column)
        gain = find(
            partial(_change, old=task.trained_in - 1, new=task.trained_in, task=task.name),
            column,
        )
    rows = rows_compared(run, task)
    if rows is None:
        loss = Figure(None, None, summary.forgetting.reason)
    else:
        loss = find(partial(_change, old=rows[1], new=rows[0], task=task.name), column)
    fate = judge_loss(loss, task.unit)
    needed = None
    if fate == "inconclusive" and summary.items:
        needed = items_needed(loss, MARGIN[task.unit], summary.items)
    return TaskOutcome(
        task=task,
        summary=summary,
        before=before,
        gain=gain,
        start=summary.base if task.trained_in is None else summary.learned,
        loss=loss,
        learning=_learning(task, before, gain),
        fate=fate,
        items_needed=needed,
        flips=flips,
        flips_reason=flips_reason,
        p_adjusted=None if flips is None else next(adjusted),
    )


def _learning(task: TaskInfo, before: Figure, gain: Figure) -> Learning:
    if task.trained_in is None:
        return "only tested"
    if gain.value is None or gain.interval is None:
        return "absent"
    if gain.interval.low > 0:
        return "learned"
    if task.unit == "accuracy" and before.value is not None and before.value >= KNOWN:
        return "known"
    return "not learned"


def _flips(run: RunResults, task: TaskInfo) -> tuple[Flips | None, str | None]:
    rows = rows_compared(run, task)
    if rows is None:
        return None, "nothing came after it was learned"
    try:
        before, after = (run.matrix.cell(row, task.name) for row in rows)
        return find_flips(before, after, run.matrix.column(task.name).groups), None
    except NotMeasured as absent:
        return None, absent.message


def _score(scores: Any, row: int, task: str) -> Any:
    return scores.score(row, task)


def _change(scores: Any, old: int, new: int, task: str) -> Any:
    return scores.score(new, task) - scores.score(old, task)
