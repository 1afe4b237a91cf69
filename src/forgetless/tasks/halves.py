"""A task's test items in two halves: what is chosen on one is certified on the other."""

from __future__ import annotations

from dataclasses import replace

from forgetless.errors import DataError
from forgetless.tasks.source import Selected
from forgetless.tasks.task import Task

FEWEST_ITEMS = 8


def halves(task: Task) -> tuple[Task, Task]:
    """Every other item chooses, the rest certifies; a group is never divided.

    Returns:
        The task with the items that choose, and with those that certify.

    Raises:
        DataError: if there are too few items.
    """
    if len(task.test) < 2 * FEWEST_ITEMS:
        raise DataError(
            f"task {task.name!r} has {len(task.test)} test items; half choose and half certify, so "
            f"needed at least {2 * FEWEST_ITEMS}",
            fix="name a task with more test items",
        )
    groups = groups_to_divide(task)
    order = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    first, second = (
        replace(
            task,
            test=Selected(
                task.test, [n for n, group in enumerate(groups) if order[group] % 2 == half]
            ),
        )
        for half in (0, 1)
    )
    return first, second


def groups_to_divide(task: Task) -> list[str]:
    """The group of each test item; its own id if it stands alone.

    Raises:
        DataError: if there is but one group, so that one half would be empty.
    """
    groups = [row.group or row.id for row in task.test]
    if len(set(groups)) < 2:
        raise DataError(
            f"task {task.name!r}: all test items are of group {groups[0]!r}; half choose and half "
            "certify, and a group is never divided",
            fix="name a task whose items are of two groups or more",
        )
    return groups
