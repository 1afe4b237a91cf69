"""What became of one task in one run: learned or not, lost or kept, or too close to call.

A report describes: it was given no budget to hold a run against.  So every real fall is *lost*, and
*kept* is what has certainly lost at most five points, or 0.05 nats per token; what is real is
decided by the tests of an audit (:mod:`forgetless.metrics.judging`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

from forgetless.errors import NotMeasured
from forgetless.metrics import (
    Evidence,
    Figure,
    Summary,
    TaskSummary,
    TaskVerdict,
    Unit,
    estimate,
    judge,
)
from forgetless.report.changes import rows_compared
from forgetless.report.data import RunResults, TaskInfo
from forgetless.report.evidence import evidence_between

Fate = Literal["lost", "kept", "improved", "inconclusive", "at floor", "at ceiling", "absent"]
"""The words of :data:`forgetless.metrics.Verdict`; ``improved`` after a real gain, ``absent`` where
nothing came after the task was learned, or it was not measured."""

Doubt = Literal["guessed", "unanswered", "few items"]
"""Why a fate is inconclusive: it fell for certain, but may have been guessed before; items without
an answer could hide a loss; or there are too few."""

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
        fate: What became of it afterwards.
        doubt: Why the fate is inconclusive, if it is.
        judged: What that rests on: flips, the test, the items that would decide; ``None`` where
            the fate is absent.
    """

    task: TaskInfo
    summary: TaskSummary
    before: Figure
    gain: Figure
    start: Figure
    loss: Figure
    learning: Learning
    fate: Fate
    doubt: Doubt | None
    judged: TaskVerdict | None


def judge_tasks(
    run: RunResults,
    summary: Summary,
    *,
    draws: int,
    level: float,
    seed: int,
) -> tuple[TaskOutcome, ...]:
    """Judge every task of a run; together, for each is tested as one of many.

    Args:
        run: The run.
        summary: Its figures.
        draws: Resampled matrices behind each interval.
        level: Confidence level of the intervals and, over all tasks, of the word "lost".
        seed: Of the intervals.

    Returns:
        In the order of the columns.
    """
    found: dict[str, Evidence] = {}
    absent: dict[str, str | None] = {}
    for task in run.tasks:
        rows = rows_compared(run, task)
        if rows is None:
            absent[task.name] = summary.task(task.name).forgetting.reason
            continue
        try:
            found[task.name] = evidence_between(run, task, *rows)
        except NotMeasured as why:
            absent[task.name] = why.message
    verdicts = judge(
        tuple(found.values()),
        budget=MARGIN["accuracy"],
        nats_budget=MARGIN["nats"],
        most_missing=1.0,  # what was answered is described, and what was not is warned of
        describe=True,
        draws=draws,
        level=level,
        seed=seed,
    )
    judged = {verdict.task: verdict for verdict in verdicts}
    find = partial(estimate, draws=draws, level=level, seed=seed)
    outcomes = []
    for task in run.tasks:
        own, verdict = summary.task(task.name), judged.get(task.name)
        before, gain = _taught(run, task, find)
        outcomes.append(
            TaskOutcome(
                task=task,
                summary=own,
                before=before,
                gain=gain,
                start=own.base if task.trained_in is None else own.learned,
                loss=verdict.change.turned() if verdict else Figure(None, None, absent[task.name]),
                learning=_learning(task, before, gain),
                fate=fate_of(verdict, level) if verdict else "absent",
                doubt=_doubt(verdict, level) if verdict else None,
                judged=verdict,
            )
        )
    return tuple(outcomes)


def _taught(run: RunResults, task: TaskInfo, find: Callable[..., Figure]) -> tuple[Figure, Figure]:
    """A task's score right before its stage, and what the stage added."""
    if task.trained_in is None:
        only_tested = Figure(None, None, f"task '{task.name}' is only tested")
        return only_tested, only_tested
    column = run.matrix.of_task(task.name)
    before, gain = (
        partial(formula, row=task.trained_in, task=task.name) for formula in (_before, _gain)
    )
    return find(before, column), find(gain, column)


def fate_of(judged: TaskVerdict, level: float) -> Fate:
    """The word for a verdict; a real gain has one of its own."""
    risen = (judged.change.value or 0.0) > 0 and _significant(judged, level)
    limits = judged.change.interval
    clear = limits is None or limits.low > 0
    kept = judged.verdict in ("kept", "at ceiling")
    if risen and clear and (kept or judged.rose_from_floor):
        return "improved"
    return cast("Fate", judged.verdict)  # no share of missing items makes it fail here


def _doubt(judged: TaskVerdict, level: float) -> Doubt | None:
    limits = judged.change.interval
    if judged.verdict != "inconclusive" or limits is None:
        return None
    if limits.high < 0 and _significant(judged, level):
        return "guessed"  # else it would be lost
    return "unanswered" if -limits.low <= judged.budget else "few items"


def _significant(judged: TaskVerdict, level: float) -> bool:
    """Whether its change is more than chance explains, among those of all tasks."""
    return judged.p_adjusted is not None and judged.p_adjusted <= 1 - level


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


def _before(scores: Any, row: int, task: str) -> Any:
    return scores.score(row - 1, task)


def _gain(scores: Any, row: int, task: str) -> Any:
    return scores.score(row, task) - scores.score(row - 1, task)
