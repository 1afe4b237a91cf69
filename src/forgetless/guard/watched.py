"""The tasks that a guard asks: read once, and few enough items to ask them often."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from forgetless.errors import UsageError
from forgetless.tasks.given import TaskLike, read_task
from forgetless.tasks.source import Selected
from forgetless.tasks.task import Task

ELSEWHERE = {"name", "train", "test", "hold_out", "split", "test_split", "fields", "licence"}
"""Settings that say where rows come from; the items themselves are compared."""


def watched_tasks(tasks: Sequence[TaskLike], limit: int | None, seed: int) -> tuple[Task, ...]:
    """Read the tasks, each with at most so many test items, drawn at random.

    Raises:
        UsageError: if there are none, two have one name, or one cannot be read.
    """
    if not tasks:
        raise UsageError(
            "RetentionGuard was given no task", fix="RetentionGuard(['medical.jsonl'])"
        )
    read = (read_task(task, seed=seed, where="RetentionGuard: task") for task in tasks)
    found = tuple(_few(task, limit, seed) for task in read)
    logged: dict[str, str] = dict.fromkeys(("broken", "worst_loss", "rolled_back_to"), "")
    for task in found:
        for name in (task.name, f"{task.name}_change"):
            if name in logged:
                raise UsageError(
                    f"RetentionGuard: two figures would be logged as 'retention/{name}'",
                    fix=f"rename the task {task.name!r}:  {{'name': ..., 'test': ...}}",
                )
            logged[name] = task.name
    return found


def budgets(budget: float | Mapping[str, float], tasks: Sequence[Task]) -> dict[str, float]:
    """The loss accepted on each task that is judged, in its unit.

    Raises:
        UsageError: for a task that is not asked, or a loss that cannot be one.
    """
    names = [task.name for task in tasks]
    given = dict(budget) if isinstance(budget, Mapping) else dict.fromkeys(names, budget)
    if unknown := sorted(set(given) - set(names)):
        raise UsageError(
            f"RetentionGuard: budget names the task {unknown[0]!r}, which is not asked",
            fix=f"the tasks are {', '.join(names)}",
        )
    for task in tasks:
        accepted = given.get(task.name, 0.0)
        top = 1.0 if task.unit == "accuracy" else math.inf
        if isinstance(accepted, bool) or not isinstance(accepted, int | float):
            raise UsageError(
                f"RetentionGuard: budget of {task.name!r} is {accepted!r}, needed 0.05"
            )
        if not 0 <= accepted < top:
            raise UsageError(
                f"RetentionGuard: budget of {task.name!r} is {accepted:g}, needed a share from 0 "
                "to below 1",
                fix=f"five points are 0.05:  budget={{{task.name!r}: 0.05}}",
            )
    return given


def asked_hash(task: Task) -> str:
    """SHA-256 of what is asked: the items, how they are put, and how answers are scored."""
    settings = task.config.model_dump(mode="json", exclude=ELSEWHERE)
    text = json.dumps([settings, task.test_hash()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _few(task: Task, limit: int | None, seed: int) -> Task:
    """The task with so many test items, drawn at random, for files are often sorted."""
    total = len(task.test)
    if limit is None or total <= limit:
        return task
    drawn = random.Random(f"{seed}/guard/{task.name}").sample(range(total), limit)  # noqa: S311
    return replace(task, test=Selected(task.test, sorted(drawn)))
