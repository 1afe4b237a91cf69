"""What is asked: a user's own items and built-in suites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forgetless.auditing.result import AuditTask
from forgetless.plan import BUNDLED, TaskConfig
from forgetless.tasks.given import read_task, refuse_namesakes
from forgetless.tasks.suites import suite as read_suite
from forgetless.tasks.task import Task

DEFAULT_SUITE = "default"
LM_EVAL = "lm_eval:"


@dataclass(frozen=True)
class AskedTask:
    """A task with what its judgement needs beside the scores.

    Attributes:
        info: What the report says of it.
        task: The items; None where they were asked elsewhere.
        groups: Item id to the group it belongs to; absent if it stands alone.
        chance: Item id to the score of guessing; empty where there is no such thing.
        parts: Item id to its level, where the items are graded, as those of a built-in task may be.
    """

    info: AuditTask
    task: Task | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    chance: Mapping[str, float] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)


def split_tasks(tasks: Sequence[Any]) -> tuple[list[Any], list[str]]:
    """The tasks that are ours to ask, and the names of those of lm-evaluation-harness."""
    theirs = [task for task in tasks if isinstance(task, str) and task.startswith(LM_EVAL)]
    return [task for task in tasks if task not in theirs], theirs


def gather_tasks(
    tasks: Sequence[Any], suite: str | None, limit: int | None, *, default: bool = True
) -> list[AskedTask]:
    """Read every task of an audit.

    Args:
        tasks: Names, paths, task settings or tasks; with none, and no suite, the default suite.
        suite: Name of a built-in suite.
        limit: Most items of each task.
        default: Whether the default suite is asked where there is nothing else.

    Returns:
        The tasks, those of the suite first.

    Raises:
        UsageError: for data that cannot be used, or two tasks of one name.
    """
    if not tasks and suite is None and default:
        suite = DEFAULT_SUITE
    found: list[AskedTask] = []
    for member in read_suite(suite) if suite is not None else ():
        config = TaskConfig(test=BUNDLED + member.task, limit=member.limit)
        found.append(_asked(read_task(config, limit), member.area))
    found += [_asked(read_task(given, limit)) for given in tasks]
    refuse_namesakes([one.info.name for one in found])
    return found


def source_of(config: TaskConfig) -> str:
    """What a task's items are read from, as it was named."""
    return str(Path(config.test or config.train or ""))


def _asked(task: Task, area: str = "") -> AskedTask:
    return AskedTask(
        AuditTask(
            name=task.name,
            unit=task.unit,
            scorer=task.config.score,
            items=len(task.test),
            area=area,
            description=task.description,
            warnings=task.warnings,
            source=source_of(task.config),
        ),
        task,
        task.groups,
        task.chance,
        task.levels,
    )
