"""What will make the figures of a plan say little, told before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

from forgetless.methods.base import KeepsRows
from forgetless.methods.compose import Compose
from forgetless.methods.parts.buffer import untested
from forgetless.methods.stage import Stage
from forgetless.metrics import hidden_loss
from forgetless.plan import BUNDLED
from forgetless.tasks.examples import TaskRows
from forgetless.tasks.halves import grouped
from forgetless.tasks.task import Task

COARSE = 0.25
"""Items that could hide a larger loss, though no answer to them changes, are told to be few."""

MOST = 0.5
"""A task of whose rows a larger share may not be rehearsed is told of."""

UNREAD = 100
"""A task of so many rows for each test item is not read to count: most are surely not tested."""


def few_items(task: Task, giving: float = 1.0) -> str | None:
    """What to know of a task whose items can show great changes only; None of any other.

    Args:
        task: The task; of one that is scored in nats, which have no bound, nothing can be foretold.
        giving: Share of its items that give figures, the others choose; a group counts as one item.
    """
    units = len(grouped((row.id for row in task.test), task.groups))
    used = max(1, int(giving * units))
    hidden = hidden_loss(used)
    if task.unit == "nats" or hidden <= COARSE:
        return None
    groups = "1 group" if used == 1 else f"{used} groups"
    rest_on = f"{groups} of them" if units < len(task.test) else f"{used}"
    if giving < 1:
        rest_on += f", for of {units} the others choose"
    return (
        f"few test items: figures rest on {rest_on}; a loss of {100 * hidden:.0f} points cannot be "
        f"ruled out even where no answer changes; {_more_items(task)}"
    )


def _more_items(task: Task) -> str:
    config = task.config
    if config.limit is not None and config.limit <= len(task.test):
        return "raise limit"
    if config.test is None and not config.memory and not (config.train or "").startswith(BUNDLED):
        return "raise hold_out, or name a test"
    return "add items to its test"


def hard_to_rehearse(stages: Sequence[Stage], methods: Compose) -> dict[str, str]:
    """Tasks of which most rows may not be rehearsed, though a method means to.

    Returns:
        By task, what to know of it.
    """
    names, last = drawing(stages, methods), stages[-1]
    found = {}
    for task in last.earlier if names else ():
        total, allowed = len(task.train), _rehearsable(task, last)
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


def drawing(stages: Sequence[Stage], methods: Compose) -> str:
    """Names of the methods that draw rows of earlier tasks; empty if there are none."""
    acting = methods.acting_in(stages[-1])
    return " and ".join(method.name for method in acting if isinstance(method, KeepsRows))


def draws_nothing(stages: Sequence[Stage], methods: Compose) -> bool:
    """Whether methods mean to draw rows of earlier tasks, and may draw none of any."""
    last = stages[-1]
    return bool(drawing(stages, methods) and last.earlier) and not any(
        _rehearsable(task, last) for task in last.earlier
    )


def _rehearsable(task: Task, stage: Stage) -> int:
    """How many training rows of a task a stage may rehearse; all of one that is not read for it."""
    if len(task.train) > UNREAD * len(stage.held_back):
        return len(task.train)
    return len(untested(TaskRows.of([task]), stage))
