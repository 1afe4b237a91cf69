"""The tasks that a guard asks: read once, and few enough items to ask them often."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from forgetless.errors import DataError, UsageError
from forgetless.plan import TaskConfig
from forgetless.tasks.source import Selected
from forgetless.tasks.task import Task, load_task

TaskLike = Task | TaskConfig | Mapping[str, Any] | str | Path

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
    if limit is not None and limit < 1:
        raise UsageError(f"RetentionGuard: limit is {limit}, needed at least 1, or None for all")
    found = tuple(_few(_task(task, seed), limit, seed) for task in tasks)
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


def _task(task: TaskLike, seed: int) -> Task:
    if isinstance(task, Task):
        if not task.test:
            raise DataError(f"task {task.name!r} has no test items")
        return task
    return load_task(_config(task), seed)


def _config(task: TaskConfig | Mapping[str, Any] | str | Path) -> TaskConfig:
    """A task as it was named; every row of a file that stands alone is a test item."""
    if isinstance(task, TaskConfig):
        return task
    settings = {"test": str(task)} if isinstance(task, str | Path) else dict(task)
    if unknown := sorted(set(settings) - set(TaskConfig.model_fields)):
        raise UsageError(
            f"RetentionGuard: unknown key {unknown[0]!r} of a task",
            fix=f"valid keys: {', '.join(TaskConfig.model_fields)}",
        )
    try:
        return TaskConfig.model_validate(settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"RetentionGuard: task{f', {where}' if where else ''}: {said}") from None


def _few(task: Task, limit: int | None, seed: int) -> Task:
    """The task with so many test items, drawn at random, for files are often sorted."""
    total = len(task.test)
    if limit is None or total <= limit:
        return task
    drawn = random.Random(f"{seed}/guard/{task.name}").sample(range(total), limit)  # noqa: S311
    return replace(task, test=Selected(task.test, sorted(drawn)))
