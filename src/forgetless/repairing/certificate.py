"""What the items that certify say of the points that the search offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import numpy as np

from forgetless.metrics import Cell, Evidence, TaskVerdict, certify, word_for
from forgetless.repairing.result import Status
from forgetless.repairing.search import Tried
from forgetless.tasks.task import Task

Cells = Mapping[str, Cell]
"""By task, what a model answered."""


@dataclass(frozen=True)
class Judged:
    """A point, and what may be said of it.

    Attributes:
        tried: The point, as the search found it.
        verdicts: Every task against the base.
        status: What they come to.
        reason: Why.
    """

    tried: Tried
    verdicts: tuple[TaskVerdict, ...]
    status: Status
    reason: str


def taken(way: Sequence[Judged]) -> Judged:
    """The point to take of those on the way to the best.

    From the most cautious on, each may be called certified if it is and all before it were: the
    order is fixed by other items, so that of whatever is called certified 95% holds, as if a single
    point had been tested.  If the first is not, it is the boldest that may be within the budgets.

    Args:
        way: The most cautious point first, the best of the search last.

    Source: fixed-sequence test, Westfall and Krishen 2001, J. Statistical Planning and Inference.
    """
    certified = sum(1 for _ in takewhile(_is_certified, way))
    if certified:
        found = way[certified - 1]
    else:
        found = next((one for one in reversed(way) if one.status != "not certified"), way[-1])
        if _is_certified(found):
            luck = "but a more cautious point was not certified, so that this may be luck"
            found = replace(found, status="uncertain", reason=f"{found.reason}, {luck}")
    if found.tried is way[-1].tried:
        return found
    more = f"{way[-1].tried.point} keeps more of what was learned, and was not certified"
    return replace(found, reason=f"{found.reason}; the point {more}")


def _is_certified(one: Judged) -> bool:
    return one.status in ("repaired", "nothing lost")


def certificate(
    tasks: Sequence[Task], base: Cells, chosen: Cells, budgets: Mapping[str, float]
) -> tuple[TaskVerdict, ...]:
    """The chosen point against the base, each task by its own budget.

    Args:
        tasks: With the items that certify.
        base: The model before tuning.
        chosen: The chosen point.
        budgets: By task, the largest loss against the base.
    """
    return certify(
        [
            Evidence(
                task=task.name,
                unit=task.unit,
                before=base[task.name],
                after=chosen[task.name],
                groups=task.groups,
                chance=task.chance or None,
                parts=task.levels,
                budget=budgets[task.name],
            )
            for task in tasks
        ]
    )


def concluded(verdicts: Sequence[TaskVerdict], *, repaired: bool) -> tuple[Status, str]:
    """What the certificate comes to, and why.

    Args:
        verdicts: All tasks.
        repaired: Whether the chosen point is another than the tuned model.
    """
    refused = [one for one in verdicts if word_for(one) == "not certified"]
    lost = [one.task for one in refused if one.verdict == "lost"]
    if refused:
        said = (
            f"on other items it lost more than the budget of {', '.join(lost)}"
            if lost
            else "on other items too many have no answer"
        )
        seen = "" if repaired else "the items that search saw no loss in the tuned model, but "
        return "not certified", f"{seen}{said}; no model was written"
    if any(word_for(one) == "inconclusive" for one in verdicts):
        beyond = [
            one.task for one in verdicts if -(one.change.value or 0.0) > one.budget
            and word_for(one) == "inconclusive"
        ]  # fmt: skip
        said = (
            f"on other items it lost more than the budget of {', '.join(beyond)}, which chance "
            "could explain: they are too few to tell"
            if beyond
            else "on other items no loss beyond the budget was seen, but they are too few to rule "
            "one out"
        )
        return ("uncertain" if repaired else "no loss seen"), said
    certain = "all tasks are within the budget, with 95% confidence"
    return ("repaired" if repaired else "nothing lost"), f"on other items {certain}"


def kept_of_gain(
    learned: Sequence[str], base: Cells, tuned: Cells, chosen: Cells
) -> dict[str, float]:
    """What is kept of the gain on each learned task.

    Those without a gain here, or without an answer, are left out.
    """
    kept = {}
    for task in learned:
        scores = [list(cells[task].scores.values()) for cells in (base, tuned, chosen)]
        if all(scores):
            low, high, now = (float(np.mean(answered)) for answered in scores)
            if high > low:
                kept[task] = (now - low) / (high - low)
    return kept
