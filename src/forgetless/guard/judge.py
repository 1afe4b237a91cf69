"""Whether a task was lost beyond its budget: the same items now and before the first step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from forgetless.errors import NotMeasured
from forgetless.metrics import (
    Cell,
    Evidence,
    Figure,
    Groups,
    ScoreMatrix,
    TaskColumn,
    Unit,
    estimate,
    retention_change,
)
from forgetless.metrics import judge as find_verdicts
from forgetless.metrics.scores import ROUNDING
from forgetless.tasks.task import Task

MOST_MISSING = 0.05  # share of the items; above it nothing can be vouched for
DRAWS = 2000


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one task since the first step.

    Attributes:
        task: Its name.
        score: Mean score now; None if no item could be scored.
        change: Now less before the first step, over the items that both scored; negative = lost.
        budget: Largest loss accepted, in the unit of the task; None if it is only watched.
        missing: Items that were scored before the first step, and could not be now.
        broken: The budget is broken, as surely as was asked for.
        within: The loss found is within the budget, whatever the interval says.
        reason: Why, in one sentence.
    """

    task: str
    score: float | None
    change: Figure
    budget: float | None
    missing: int
    broken: bool
    within: bool
    reason: str


def judge(
    column: TaskColumn,
    before: Cell,
    now: Cell,
    budget: float | None,
    *,
    certain: bool,
    level: float,
) -> Finding:
    """Compare the items of one task, one by one.

    A budget is broken if the loss found is above it and, with ``certain``, the interval of the
    loss lies above 0: items that flip by chance stop no training.

    Args:
        column: Name and unit of the task.
        before: Its items before the first step.
        now: The same items now.
        budget: Largest loss accepted, in the unit of the task; None: never broken.
        certain: Whether the interval has a say.
        level: Confidence level of the interval.
    """
    missing = len(before.scores.keys() - now.scores.keys())
    found = partial(Finding, column.name, budget=budget, missing=missing)
    try:
        matrix = ScoreMatrix(
            ("before", "now"), (column,), {(0, column.name): before, (1, column.name): now}
        )
        score = matrix.score(1, column.name)
        lost = matrix.score(0, column.name) - score
    except NotMeasured as absent:
        change = Figure(None, None, absent.message)
        broken = budget is not None
        return found(None, change, broken=broken, within=not broken, reason=absent.message)
    formula = partial(retention_change, task=column.name)
    change = estimate(formula, matrix, draws=DRAWS, level=level, seed=0)
    if budget is None:
        return found(score, change, broken=False, within=True, reason="watched, not judged")
    if missing > MOST_MISSING * len(before.scores):
        reason = f"{missing} of {len(before.scores)} items can no longer be scored"
        return found(score, change, broken=True, within=False, reason=reason)
    within = lost <= budget + ROUNDING
    sure = change.interval is not None and change.interval.high < 0
    broken = not within and (sure or not certain)
    says = f"lost {lost:.3f}, budget {budget:g}"
    if within:
        reason = says
    elif broken:
        reason = f"{says}: broken"
    else:
        reason = f"{says}, but {len(before.scores)} items do not show that anything was lost"
    return found(score, change, broken=broken, within=within, reason=reason)


def doubts(task: Task, before: Cell, budget: float | None) -> list[str]:
    """What no check of a task will see, each in words.

    Items without a score before the first step have none to be compared with later, and a task that
    the model guesses has next to nothing to lose.

    Args:
        task: What is asked.
        before: Its items before the first step.
        budget: Largest loss accepted, in the unit of the task; None if it is only watched.
    """
    found = []
    if errors := list(before.errors.values()):
        items = len(before.scores) + len(errors)
        found.append(f"{len(errors)} of {items} items of {task.name} are not watched: {errors[0]}")
    if budget is not None and (reason := _nothing_to_lose(task, before, budget)):
        found.append(f"{task.name} is at floor: {reason}")
    return found


def _nothing_to_lose(task: Task, before: Cell, budget: float) -> str | None:
    if task.unit == "nats":
        return None
    evidence = Evidence(
        task.name,
        task.unit,
        before,
        before,
        groups=task.groups,
        chance=task.chance or None,
        parts=task.levels,
    )
    (verdict,) = find_verdicts([evidence], budget=budget, draws=DRAWS)
    return verdict.reason if verdict.verdict == "at floor" else None


def column_of(name: str, unit: Unit, groups: Groups | None = None) -> TaskColumn:
    """A task as the metrics know it."""
    return TaskColumn(name, unit, groups=groups or {})
