"""From two models' answers to a verdict on every task.

**Lost** takes both: a fall that is real, and one larger than the budget.  Real is what Holm's
adjustment of the tests of no change leaves significant, so that a comparison of two models in which
nothing was lost says "lost" of any of its tasks at most as often as ``1 - level``.  Larger than the
budget is meant of the loss as measured.

**Kept** takes the upper limit of the loss within the budget, or a significant gain.  Each is wrong
at most ``(1 - level) / 2`` of the time; it is not adjusted, since an audit passes only if all its
tasks are kept.  A real loss within the budget is kept, and the reason says that it is real.

**Inconclusive** is the rest, with about how many items would decide.

A task **at floor** cannot be lost, and does not count as kept: the model before guesses (see
:mod:`forgetless.metrics.floor`).  A real fall beyond the budget is inconclusive there: the score
fell, but perhaps nothing was known.  One **at ceiling** is kept, with the reserve that both models
answer nearly all of it right, so that a small loss of ability need not show.  A task with too many
items without an answer has **failed**; fewer are taken for lost before it is called kept, for a
model that breaks down fails to answer what it can do no more.

Changes are tested by McNemar's exact test where answers are right or wrong and items stand alone,
else by swapping signs group by group (:mod:`forgetless.metrics.sign_flip`).

Who **describes** a run was given no budget to hold it against.  Then every real fall is lost, and
``budget`` only says what room "kept" may leave.  A description prints the interval beside the word,
and names losses and gains of all tasks; so both must show in the interval and in the adjusted test.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import norm

from forgetless.metrics.evidence import Evidence, count_null_flips
from forgetless.metrics.flips import Flips, find_flips
from forgetless.metrics.floor import Floor, find_floor, floor_of_parts
from forgetless.metrics.lenient import (
    Draws,
    change_of,
    compare_readings,
    figures,
    nature_of_loss,
)
from forgetless.metrics.multiplicity import holm
from forgetless.metrics.power import detectable_loss, items_needed
from forgetless.metrics.reasons import explain
from forgetless.metrics.scores import ROUNDING, Unit
from forgetless.metrics.sign_flip import FEWEST_DRAWS, sign_flip
from forgetless.metrics.verdict import TaskVerdict, Verdict

CEILING = 0.98
"""A task that both models answer so well is too easy to show a small loss; one that was answered
so well before it was trained has next to nothing to be learned."""

_SWAPS_PER_TEST = 40
"""Random swaps for each step of a p-value's scale that Holm's adjustment needs."""


def judge(
    evidence: Sequence[Evidence],
    *,
    budget: float,
    nats_budget: float | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
    most_missing: float = 0.05,
    describe: bool = False,
) -> tuple[TaskVerdict, ...]:
    """Judge all tasks of one comparison; together, for each is tested as one of many.

    Args:
        evidence: One per task.
        budget: Largest loss accepted of an accuracy, e.g. 0.02 for two points, where the task's
            evidence has no budget of its own.
        nats_budget: The same of a log-likelihood, nats per token; if none, as many hundredths of a
            nat as the budget has points.
        level: Confidence level of each interval and, over all tasks, of the word "lost".
        draws: Bootstrap draws.
        seed: The same seed gives the same verdicts.
        most_missing: Share of items without an answer above which a task has failed.
        describe: Whether the tasks are described, and not held against the budget.

    Returns:
        In the order given.

    Raises:
        ValueError: if a number is out of range, a task is there twice, or a score is outside the
            range of its unit.
    """
    nats_budget = budget if nats_budget is None else nats_budget
    _check(evidence, budget, nats_budget, level, draws, most_missing)
    how = Draws(draws, level, seed)
    common: Mapping[Unit, float] = {"accuracy": budget, "nats": nats_budget}
    measured = [
        _measure(e, common[e.unit] if e.budget is None else e.budget, how) for e in evidence
    ]
    tested = [
        e.missing <= most_missing * (e.missing + len(e.ids)) and len(e.ids) > 0 for e in evidence
    ]
    swaps = max(FEWEST_DRAWS, math.ceil(_SWAPS_PER_TEST * sum(tested) / (1 - level)))
    p_values = [
        _p_value(e, task.flips, swaps, seed) if fit else None
        for e, task, fit in zip(evidence, measured, tested, strict=True)
    ]
    together = [p for p in p_values if p is not None]
    adjusted = iter(holm(together))
    verdicts = []
    for e, task, p in zip(evidence, measured, p_values, strict=True):
        if p is None:
            reason = explain(replace(task, verdict="failed"), most_missing=most_missing)
            verdicts.append(replace(task, verdict="failed", reason=reason))
        else:
            tests = replace(task, p_value=p, p_adjusted=next(adjusted))
            verdicts.append(_decide(e, tests, together, how, common, describe=describe))
    return tuple(verdicts)


def _measure(evidence: Evidence, budget: float, how: Draws) -> TaskVerdict:
    """All that can be said of a task on its own; the verdict is open."""
    before, after, change = figures(evidence, how)
    hidden = evidence.unit == "accuracy" and evidence.missing > 0 and len(evidence.ids) > 0
    flips = None
    if evidence.ids and evidence.right_or_wrong:
        flips = find_flips(evidence.before, evidence.after, evidence.groups)
    return TaskVerdict(
        task=evidence.task,
        unit=evidence.unit,
        verdict="inconclusive",
        reason="",
        budget=budget,
        items=len(evidence.ids),
        missing=evidence.missing,
        before=before,
        after=after,
        change=change,
        worst=change_of(evidence.at_worst(), how) if hidden else None,
        flips=flips,
        null=count_null_flips(evidence.before, evidence.null, evidence.how),
        chance=evidence.mean_chance,
        readings=compare_readings(evidence, how),
    )


def _p_value(evidence: Evidence, flips: Flips | None, swaps: int, seed: int) -> float:
    if flips is not None:
        return flips.p_value
    return sign_flip(evidence.changes, draws=swaps, seed=seed)


def _decide(
    evidence: Evidence,
    task: TaskVerdict,
    together: Sequence[float],
    how: Draws,
    common: Mapping[Unit, float],
    *,
    describe: bool,
) -> TaskVerdict:
    tolerated = 0.0 if describe else task.budget
    verdict, floor = decide(evidence, task, how.level, describe=describe)
    task = replace(
        task,
        verdict=verdict,
        detectable=detectable_loss(
            task.items,
            evidence.spread,
            level=how.level,
            tests=len(together),
            budget=tolerated,
            bounded=evidence.unit == "accuracy",
            cluster=evidence.cluster,
        ),
    )
    if verdict == "lost":
        accepted = {**common, task.unit: task.budget}
        nature = nature_of_loss(
            evidence,
            task.readings,
            budget=0.0 if describe else accepted["accuracy"],
            nats_budget=0.0 if describe else accepted["nats"],
        )
        task = replace(task, nature=nature)
    if verdict == "inconclusive" and floor is None:
        task = replace(
            task, items_needed=_items_needed(evidence, task, together, how.level, tolerated)
        )
    return replace(task, reason=explain(task, floor=floor, level=how.level, describe=describe))


def decide(
    evidence: Evidence, task: TaskVerdict, level: float, *, describe: bool = False
) -> tuple[Verdict, Floor | None]:
    """The verdict on a task that did not fail, by the rules of this module.

    Args:
        evidence: Its scores.
        task: What was measured, with both p-values.
        level: Confidence level.
        describe: Whether the task is described, and not held against its budget.

    Returns:
        The verdict, and why the task is at floor if it is.
    """
    value, limits = task.change.value, task.change.interval
    assert value is not None
    assert task.p_value is not None
    assert task.p_adjusted is not None
    tolerated = 0.0 if describe else task.budget
    lost = value < 0 and task.p_adjusted <= 1 - level and -value > tolerated + ROUNDING
    gained = value > 0 and task.p_value <= 1 - level and task.worst is None
    if describe:
        lost = lost and (limits is None or limits.high < 0)
        gained = False  # one that its limits show is within the budget as well
    if task.unit == "accuracy":
        before, _ = evidence.scores
        floor = find_floor(before, task.chance, evidence.number, budget=tolerated, level=level)
        if floor == "guessing" and evidence.parts:
            floor = floor_of_parts(evidence.scores_of_parts(), budget=tolerated)
        if floor is not None and not lost:
            return "at floor", floor
        if floor == "guessing":
            return "inconclusive", floor
    if lost:
        return "lost", None
    unchanged = task.unit == "nats" and not np.any(evidence.changes)  # no interval, and no doubt
    if not (gained or unchanged or task.within_budget):
        return "inconclusive", None
    both = [figure.value or 0.0 for figure in (task.before, task.after)]
    easy = task.unit == "accuracy" and min(both) >= CEILING
    return "at ceiling" if easy else "kept", None


def _items_needed(
    evidence: Evidence,
    task: TaskVerdict,
    together: Sequence[float],
    level: float,
    tolerated: float,
) -> int | None:
    """The items that would decide, with what Holm's adjustment asks of the test.

    Args:
        evidence: Its scores.
        task: What was measured, with both p-values.
        together: The p-values of all tasks that are tested with it, its own among them.
        level: Confidence level.
        tolerated: The loss that is accepted.
    """
    assert task.p_value is not None
    assert task.p_adjusted is not None
    loss = task.change.turned()
    assert loss.value is not None
    if loss.interval is not None and loss.interval.high <= task.budget + ROUNDING:
        return None  # of those that were answered enough is known
    strengthen = math.inf  # within the budget, only the upper limit can decide
    if loss.value > tolerated + ROUNDING:
        # 1 over the number of tests that it is held against; of what ends at 1 Holm does not tell
        against = sum(p >= task.p_value for p in together)
        stricter = min(task.p_value / task.p_adjusted, 1 / against)
        wanted = float(norm.isf((1 - level) / 2 * stricter))
        noise = math.sqrt(float((evidence.changes**2).sum()))
        # Few flips tell less in an exact test than the normal curve has it.
        shown = [abs(float(evidence.changes.sum())) / noise, float(norm.isf(task.p_value / 2))]
        # And of m changes, however alike, its p-value is 2^(1 - m) at least.
        fewest = math.ceil(1 - math.log2((1 - level) * stricter))
        strengthen = max(
            wanted / min(strength for strength in shown if strength > 0),
            math.sqrt(fewest / np.count_nonzero(evidence.changes)),
        )
    return items_needed(
        loss,
        task.budget,
        task.items,
        strengthen=strengthen,
        unchanged=task.unit == "accuracy" and not np.any(evidence.changes),
    )


def _check(
    evidence: Sequence[Evidence],
    budget: float,
    nats_budget: float,
    level: float,
    draws: int,
    most_missing: float,
) -> None:
    own = [e.budget for e in evidence if e.budget is not None]
    if not (min([budget, nats_budget, *own]) >= 0 and 0 <= most_missing <= 1):
        raise ValueError(
            f"budget is {budget:g}, nats_budget {nats_budget:g}, of single tasks {own}, "
            f"most_missing {most_missing:g}; needed no negative numbers, and a share of missing "
            "items up to 1"
        )
    if not 0 < level < 1 or draws < 1:
        raise ValueError(f"level is {level:g}, draws is {draws}; needed 0 < level < 1, draws >= 1")
    for task, count in Counter(e.task for e in evidence).items():
        if count > 1:
            raise ValueError(f"task '{task}' is there {count} times, needed each once")
