"""How a run stands to a plan's budget at its end."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from forgetless.errors import NotMeasured
from forgetless.metrics import TaskColumn
from forgetless.plan import BudgetConfig


def over_budget(scores: Any, budget: BudgetConfig) -> Any:
    """Largest loss beyond the budget of any kept task: an older one, or one that is only tested.

    ``max_j (R[i_j, j] - R[T, j] - allowed_j)``, with i_j the stage that learned task j, 0 for one
    that is only tested.

    Args:
        scores: One matrix, or a stack.
        budget: What may be lost.

    Returns:
        In points or nats per token; at most 0 while all are within the budget.

    Raises:
        NotMeasured: if there is no kept task, or a cell is missing.
    """
    excesses = []
    for task in kept_tasks(scores):
        before = scores.score(task.trained_in or 0, task.name)
        lost = before - scores.score(scores.last, task.name)
        excesses.append(lost - budget.allowed(task.name, before))
    if not excesses:
        raise NotMeasured("no task has to be kept")
    return reduce(np.maximum, excesses)


def kept_tasks(scores: Any) -> list[TaskColumn]:
    """The tasks that have something to keep at the end: older ones, and those only tested."""
    return [task for task in scores.tasks if (task.trained_in or 0) < scores.last]


def in_words(budget: BudgetConfig) -> str:
    """A budget in a few words.

    >>> in_words(BudgetConfig(loss=0.02, tasks={"law": 0.1}))
    '2% (law 10%)'
    >>> in_words(BudgetConfig(loss=0.05, relative=True))
    '5% of the score before'
    """
    single = ", ".join(f"{task} {100 * loss:g}%" for task, loss in budget.tasks.items())
    whole = f"{100 * budget.loss:g}%" + (f" ({single})" if single else "")
    return f"{whole} of the score before" if budget.relative else whole
