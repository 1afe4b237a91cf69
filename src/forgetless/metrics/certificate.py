"""Whether a model holds its budgets: what may be claimed of many tasks at once.

**All of these tasks are within their budgets** is claimed if the one-sided 95% bound of each task's
loss says so of that task.  No correction is needed: the claim is false as soon as one task is
beyond its budget, and it is made only if that very task's bound failed too, which happens at most
5% of the time, however many tasks there are and however they depend on each other.

**This task is within its budget**, of one task among others that are not certified, is right 95% of
the time for that task alone: of twenty tasks just beyond their budgets about one is called
certified.

**This task lost more than its budget** is a claim that luck makes easier with every task that is
looked at, so its tests are adjusted by Holm's rule: with nothing lost, it is made of any task at
most 5% of the time.

Source: intersection-union test, Berger 1982, Technometrics 24(4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from forgetless.metrics.evidence import Evidence
from forgetless.metrics.judging import judge
from forgetless.metrics.verdict import TaskVerdict

Word = Literal["certified", "inconclusive", "not certified"]

ONE_SIDED = 0.9
"""The level at which each end of an interval is a one-sided 95% bound: a certificate asks of the
loss only how large it may be."""


def certify(evidence: Sequence[Evidence]) -> tuple[TaskVerdict, ...]:
    """Judge every task by its own budget, on items that had no part in choosing the model.

    Args:
        evidence: One per task, each with its budget.

    Returns:
        In the order given; :func:`word_for` says what each comes to.
    """
    assert all(one.budget is not None for one in evidence)
    return judge(evidence, budget=0.0, nats_budget=0.0, level=ONE_SIDED)


def word_for(task: TaskVerdict) -> Word:
    """What the items say of a task's budget.

    A task at floor is certified by the bound of its loss as any other: that its score did not fall
    is true of a model that guesses as well, and that it had little to lose stands in the reason.
    """
    bounded = task.verdict == "at floor" and task.within_budget
    if bounded or task.verdict in ("kept", "at ceiling"):
        return "certified"
    return "not certified" if task.verdict in ("lost", "failed") else "inconclusive"
