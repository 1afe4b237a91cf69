"""A task's test items in two halves: what is chosen on one is certified on the other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from forgetless.errors import DataError
from forgetless.tasks.source import Selected
from forgetless.tasks.task import Task

FEWEST_ITEMS = 8


Groups = Mapping[tuple[str, str], Sequence[int]]


def halves(task: Task) -> tuple[Task, Task]:
    """Half of the items chooses, the rest certifies; a group is never divided.

    Returns:
        The task with the items that choose, and with those that certify.

    Raises:
        DataError: if there are too few items for one of them.
    """
    if len(task.test) < 2 * FEWEST_ITEMS:
        raise DataError(
            f"task {task.name!r} has {len(task.test)} test items; half choose and half certify, so "
            f"needed at least {2 * FEWEST_ITEMS}",
            fix="name a task with more test items",
        )
    first, second = divided(groups_to_divide(task))
    if min(len(first), len(second)) < FEWEST_ITEMS:
        raise DataError(
            f"task {task.name!r}: half of its {len(task.test)} test items choose and half certify; "
            f"a group is never divided, so the halves have {len(first)} and {len(second)} items, "
            f"and each needs at least {FEWEST_ITEMS}",
            fix="name a task whose items are of more groups, or of smaller ones",
        )
    chosen, certifying = (replace(task, test=Selected(task.test, half)) for half in (first, second))
    return chosen, certifying


def by_lot(task: Task) -> Task:
    """The task with its items in an order drawn by lot, the same at all times.

    In a file that is sorted, the first few would be all of one kind.
    """
    places = range(len(task.test))
    drawn = sorted(places, key=lambda place: _lot(("", task.test[place].id)))
    return replace(task, test=Selected(task.test, drawn))


def divided(groups: Groups) -> tuple[list[int], list[int]]:
    """The places of whole groups in two parts of about the same size, each in order.

    A lot drawn of their names decides, the same at all times: in a file that alternates between two
    kinds of items, every other one would be all of one kind.
    """
    first: list[int] = []
    second: list[int] = []
    for group in sorted(groups, key=lambda name: (-len(groups[name]), _lot(name))):
        smaller = first if len(first) <= len(second) else second
        smaller.extend(groups[group])
    return sorted(first), sorted(second)


def grouped(items: Iterable[str], named: Mapping[str, str]) -> dict[tuple[str, str], list[int]]:
    """Places of the items in each group; one that ``named`` gives no group is a group by itself."""
    groups: dict[tuple[str, str], list[int]] = {}
    for place, item in enumerate(items):
        group = named.get(item, "")
        key = (group, "") if group else ("", item)
        groups.setdefault(key, []).append(place)
    return groups


def groups_to_divide(task: Task) -> dict[tuple[str, str], list[int]]:
    """The test items of each group, by their places; an item that stands alone is one.

    Raises:
        DataError: if there is but one group, so that one half would be empty.
    """
    groups = grouped((row.id for row in task.test), task.groups)
    if len(groups) < 2:
        raise DataError(
            f"task {task.name!r}: all test items are of one group or ask the same; half choose and "
            "half certify, and a group is never divided",
            fix="name a task whose items are of two groups or more",
        )
    return groups


def _lot(name: tuple[str, str]) -> bytes:
    return hashlib.sha256("\x00".join(name).encode(errors="surrogatepass")).digest()
