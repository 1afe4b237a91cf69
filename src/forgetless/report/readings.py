"""Every reading taken of the same answers, beside the one that the figures use.

A choice read with and without correction for length, an answer matched strictly and leniently:
where two readings part, what was lost or gained may be the form of the answer, not the knowledge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetless.errors import NotMeasured
from forgetless.metrics.lenient import NOT_SCORES
from forgetless.report.analysis import Arm, Report


@dataclass(frozen=True, slots=True)
class Reading:
    """The means of one reading of one task in one arm, over the items that its score counts.

    Attributes:
        task: The task.
        name: Name of the reading.
        arm: Title of the arm.
        used: Whether the figures use it.
        base: Of the untouched model; ``None`` where it was not taken.
        learned: Right after the task's stage; ``None`` also if it is only tested.
        final: At the end.
    """

    task: str
    name: str
    arm: str
    used: bool
    base: float | None
    learned: float | None
    final: float | None


def other_readings(report: Report) -> list[Reading]:
    """The readings of every task that has more than one."""
    found = []
    for task in report.tasks:
        names = _names(report.arms, task.name)
        if len(names) < 2:
            continue
        for name in names:
            for arm in report.arms:
                trained_in = arm.outcome(task.name).task.trained_in
                learned = None if trained_in is None else _mean(arm, trained_in, task.name, name)
                found.append(
                    Reading(
                        task=task.name,
                        name=name,
                        arm=arm.title,
                        used=name == task.reading,
                        base=_mean(arm, 0, task.name, name),
                        learned=learned,
                        final=_mean(arm, arm.run.matrix.last, task.name, name),
                    )
                )
    return found


def _names(arms: Sequence[Arm], task: str) -> list[str]:
    names = [
        name
        for arm in arms
        for item in arm.run.scores[0] or ()
        if item.task == task
        for name in item.readings
    ]
    return [name for name in dict.fromkeys(names) if name not in NOT_SCORES]


def _mean(arm: Arm, row: int, task: str, reading: str) -> float | None:
    """The mean over the items that the task's score is a mean of; ``None`` if one lacks it."""
    try:
        counted = set(arm.run.matrix.paired(task).ids)
    except NotMeasured:
        return None
    values = [
        item.readings.get(reading)
        for item in arm.run.scores[row] or ()
        if item.task == task and item.item in counted
    ]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
