"""Tasks as callers name them: in a word, as settings, or read already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from forgetless.errors import DataError, UsageError
from forgetless.plan import TaskConfig, make_part
from forgetless.tasks.source import needed_fields
from forgetless.tasks.task import Task, load_task

TaskLike = Task | TaskConfig | Mapping[str, Any] | str | Path


def read_task(
    given: TaskLike, limit: int | None = None, *, seed: int = 0, where: str = "task"
) -> Task:
    """The task that somebody names, with the first so many of its test items.

    Args:
        given: The task, its settings, or its source alone: ``FILE``, ``NAME=FILE``,
            ``bundled:NAME``.  Every row of a source that stands alone is a test item.
        limit: Most test items; with a limit of its own the smaller counts.  None: all.
        seed: Seed of what is held out where settings name training rows alone.
        where: Who asks, for messages.

    Raises:
        UsageError: for settings or data that cannot be used.
    """
    if isinstance(given, Task):
        if not given.test:
            raise DataError(f"task {given.name!r} has no test items")
        return given if limit is None else replace(given, test=given.test[:limit])
    if isinstance(given, TaskConfig):
        config = given.named()
    elif isinstance(given, Mapping):
        config = make_part(TaskConfig, given, where).named()
    else:
        config = task_config(str(given))
    limits = [most for most in (config.limit, limit) if most is not None]
    return load_task(config.model_copy(update={"limit": min(limits, default=None)}), seed)


def refuse_namesakes(names: Sequence[str]) -> None:
    """Make sure that every task can be told by its name.

    Raises:
        UsageError: naming the first that cannot.
    """
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"two tasks are named {name!r}", fix="name one of them:  --task OTHER=FILE"
            )


def task_config(
    source: str, score: str | None = None, fields: Mapping[str, str] | None = None
) -> TaskConfig:
    """A task that is only tested, from ``FILE``, ``NAME=FILE`` or ``bundled:NAME``.

    Args:
        source: Its items.
        score: How they are scored; by default what suits the items.
        fields: Our field name to the source's, if it needs them: :func:`with_fields`.

    Raises:
        UsageError: for a score that there is not, or a source that cannot be read for its columns.

    Example:
        >>> task_config("medicine=exams/2024.jsonl").name
        'medicine'
    """
    data = as_settings(source, "test")
    if score is not None:
        data["score"] = score
    config = make_part(TaskConfig, data, f"--task {source[:80]}").named()
    return with_fields(config, fields or {})


def as_settings(source: str, key: str) -> dict[str, str]:
    """``FILE`` or ``NAME=FILE`` as settings of a task.

    Args:
        source: What was given.
        key: The setting that the file is: ``train`` or ``test``.

    Example:
        >>> as_settings("medicine=exams/2024.jsonl", "train")
        {'train': 'exams/2024.jsonl', 'name': 'medicine'}
    """
    name, separator, rest = source.partition("=")
    named = separator and "/" not in name and ":" not in name and "." not in name
    return {key: rest, "name": name} if named else {key: source}


def with_fields(config: TaskConfig, fields: Mapping[str, str]) -> TaskConfig:
    """A task with names of its columns, which are left out where its source does without them.

    Raises:
        DataError: if the source is missing or cannot be read.
    """
    source, split = config.train, config.split
    if source is None:
        source, split = config.test, config.test_split
    assert source is not None
    needed = needed_fields(source, fields, split)
    return config.model_copy(update={"fields": dict(needed)}) if needed else config
