"""Training rows kept out of training, to choose a setting on: the tests are for certifying it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b

from forgetless.errors import DataError
from forgetless.methods.stage import Stage
from forgetless.tasks.row import Row
from forgetless.tasks.source import Selected
from forgetless.tasks.task import Task, exchange_hashes

FEWEST, MOST = 4, 256  # rows withheld of a task: fewer say nothing, more only cost time


def withhold(stages: Sequence[Stage], share: float) -> tuple[list[Stage], dict[str, Sequence[Row]]]:
    """Take a share of every task's training rows out of all stages.

    Rows that teach the same (``exchange_hash``) stay on the same side, in all tasks; and like test
    items, what is withheld is never rehearsed from other sources either.  A row that teaches a test
    item of any task stays: its task says that it is taught, and no choice may rest on it.

    Args:
        stages: As planned.
        share: Of each task's rows that teach no test item, in (0, 1); at least 4 and at most 256
            rows, and never more than half of them unless they are alike.

    Returns:
        The stages without the withheld rows, and the withheld rows of each task, by its name.

    Raises:
        DataError: for a task that has too few different rows that are not tested.
    """
    tasks = {task.name: task for stage in stages for task in (*stage.earlier, *stage.tasks)}
    hashes: dict[str, list[bytes]] = {}
    tested: set[bytes] = set()
    for name, task in tasks.items():
        taught = [exchange_hashes(row) for row in task.train]
        hashes[name] = [found[-1] for found in taught]
        tested.update(found[-1] for found in taught if not stages[0].tested.isdisjoint(found))
    chosen: set[bytes] = set()
    for found in hashes.values():
        free = [each for each in found if each not in tested]
        chosen |= _choice(free, share, stages[0].seed)
    learned: dict[str, Task] = {}
    withheld: dict[str, Sequence[Row]] = {}
    for name, task in tasks.items():
        places = range(len(task.train))
        held = [place for place in places if hashes[name][place] in chosen]
        kept = [place for place in places if hashes[name][place] not in chosen]
        if not held or not kept:
            asked = sum(found in tested for found in hashes[name])
            raise DataError(
                f"task {name!r}: of its {len(task.train)} training rows, {asked} teach a test "
                "item, and of the others too few differ to withhold some",
                fix="add rows, or give alpha a number:  merge: {alpha: 0.5}",
            )
        withheld[name] = Selected(task.train, held)
        learned[name] = replace(task, train=Selected(task.train, kept))
    return [
        replace(
            stage,
            tasks=tuple(learned[task.name] for task in stage.tasks),
            earlier=tuple(learned[task.name] for task in stage.earlier),
            held_back=stage.held_back | chosen,
        )
        for stage in stages
    ], withheld


def _choice(hashes: Sequence[bytes], share: float, seed: int) -> set[bytes]:
    """What to withhold of a task: the same rows in whatever order and task they come."""
    wanted = min(max(FEWEST, round(share * len(hashes))), MOST, len(hashes) // 2)
    copies = Counter(hashes)
    chosen: set[bytes] = set()
    salt = f"withheld/{seed}".encode()
    for found in sorted(copies, key=lambda found: blake2b(found, key=salt).digest()):
        if wanted <= 0:
            break
        chosen.add(found)
        wanted -= copies[found]
    return chosen
