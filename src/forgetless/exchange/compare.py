"""Two imported results: comparable, or refused with the difference named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetless.errors import DataError
from forgetless.exchange.imported import Imported, ImportedTask

SHOWN = 3  # differences in a message


@dataclass(frozen=True)
class Shared:
    """What two results of one task have in common.

    Attributes:
        task: Its name.
        items: Items that both have, in the order of the before results.
        only_before: Number of items that only the before results have; they do not count.
        only_after: The same for the after results.
    """

    task: str
    items: tuple[str, ...]
    only_before: int
    only_after: int


def compare_conditions(before: Imported, after: Imported) -> tuple[Shared, ...]:
    """Refuse results that were not obtained in the same way.

    Returns:
        What each task has in common; tasks that only one of them has are not there.

    Raises:
        DataError: naming the tasks and what differs, or that nothing is in common.
    """
    where = f"{before.folder} and {after.folder}"
    if before.format != after.format:
        raise DataError(
            f"{where}: one was written by {before.format}, the other by {after.format}",
            fix="evaluate both models with the same tool",
        )
    names = {task.name for task in after.tasks}
    pairs = [(task, after.task(task.name)) for task in before.tasks if task.name in names]
    if not pairs:
        told = [", ".join(task.name for task in side.tasks) for side in (before, after)]
        raise DataError(
            f"{where}: no task in common; before: {told[0]}; after: {told[1]}",
            fix="evaluate both models on the same tasks",
        )
    faults = [fault for pair in pairs if (fault := _difference(*pair))]
    if faults:
        more = [f"and {len(faults) - SHOWN} more tasks"] if len(faults) > SHOWN else []
        raise DataError(
            "\n".join([f"{where} cannot be compared", *faults[:SHOWN], *more]),
            fix="evaluate one of the two models again with the settings of the other, "
            "or leave such tasks out",
        )
    return tuple(_shared(*pair) for pair in pairs)


def _shared(before: ImportedTask, after: ImportedTask) -> Shared:
    common = tuple(item.item for item in before.items if item.item in after.prints)
    return Shared(
        before.name, common, len(before.items) - len(common), len(after.items) - len(common)
    )


def _difference(before: ImportedTask, after: ImportedTask) -> str | None:
    """Why two results of a task cannot be compared, in one line; None if they can."""
    told = [
        f"{name}: {_short(before, name)} before, {_short(after, name)} after"
        for name in before.conditions.differences(after.conditions)
    ]
    if told:
        return f"  task {before.name!r}: {_list(told)}"
    shared = _shared(before, after).items
    if not shared:
        return f"  task {before.name!r}: the items differ: none of them is in both"
    for what in before.prints[shared[0]]:
        other = [key for key in shared if before.prints[key][what] != after.prints[key].get(what)]
        if other:
            return (
                f"  task {before.name!r}: the {what} differ in {len(other)} of {len(shared)} "
                f"items, such as item {other[0]}"
            )
    return None


def _short(task: ImportedTask, name: str) -> str:
    value = task.conditions.parts.get(name)
    if value is None or value == "None":
        return "none"
    is_hash = len(value) == 64 and all(c in "0123456789abcdef" for c in value)
    return value[:12] if is_hash else value


def _list(told: Sequence[str]) -> str:
    more = f"; and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return "; ".join(told[:SHOWN]) + more
