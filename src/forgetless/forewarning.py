"""What will make the figures of a plan say little, told before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

from forgetless.methods.base import KeepsRows
from forgetless.methods.compose import Compose
from forgetless.methods.parts.buffer import untested
from forgetless.methods.stage import Stage
from forgetless.tasks.examples import TaskRows
from forgetless.tasks.task import Task

MOST = 0.5
"""A task of whose rows a larger share may not be rehearsed is told of."""


def hard_to_rehearse(stages: Sequence[Stage], methods: Compose) -> dict[str, str]:
    """Tasks of which most rows may not be rehearsed, though a method means to.

    Returns:
        By task, what to know of it.
    """
    if not stages:
        return {}
    last = stages[-1]
    names = " and ".join(m.name for m in methods.acting_in(last) if isinstance(m, KeepsRows))
    if not names:
        return {}
    found = {}
    for task in last.earlier:
        total, allowed = len(task.train), rehearsable(task, last)
        if allowed == 0:
            drawn = f"none of its {total:,} training rows, for all are test items: it is left as"
            told = f"{drawn} unprotected as without {names}"
        elif allowed < (1 - MOST) * total:
            told = (
                f"{allowed:,} of its {total:,} training rows alone, for the others are test items"
            )
        else:
            continue
        found[task.name] = (
            f"{names} may draw {told}; where the test is to ask what was taught, say  memory: true"
        )
    return found


def rehearsable(task: Task, stage: Stage) -> int:
    """How many training rows of a task a stage may rehearse."""
    return len(untested(TaskRows.of([task]), stage))
