"""Other readings of the same answers, and what they say about the nature of a loss.

A model that answers in another form than it should loses all points of a strict scorer, and may
know as much as before.  Then its answers still contain what was asked for, or it still finds the
right answer as likely.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from forgetless.metrics.cells import Cell
from forgetless.metrics.evidence import Evidence
from forgetless.metrics.scores import Unit
from forgetless.metrics.sign_flip import sign_flip
from forgetless.metrics.summary import Figure, estimate
from forgetless.metrics.verdict import Nature, Reading

LOWER_IS_BETTER = frozenset({"nll"})
"""Readings that are losses: their sign is turned before they are compared."""

NOT_SCORES = frozenset({"tokens"})
"""Readings that say nothing about how good an answer is."""

LENIENT = ("contains", "lenient", "nll")
"""Readings that do not mind the form of an answer; ``lenient`` is that of another tool."""

_INTACT = 0.25
"""A lenient reading that lost less than this share of the strict loss is intact."""


class Draws(NamedTuple):
    """How intervals are drawn: see :func:`forgetless.metrics.interval`."""

    draws: int
    level: float
    seed: int


def figures(evidence: Evidence, how: Draws) -> tuple[Figure, Figure, Figure]:
    """Mean before, mean after, and after less before, each with its interval."""
    matrix = evidence.matrix()
    options = how._asdict()
    score = partial(_score, task=evidence.task)
    return (
        estimate(partial(score, row=0), matrix, **options),
        estimate(partial(score, row=1), matrix, **options),
        change_of(evidence, how),
    )


def change_of(evidence: Evidence, how: Draws) -> Figure:
    """After less before, with its interval."""
    return estimate(partial(_change, task=evidence.task), evidence.matrix(), **how._asdict())


def compare_readings(evidence: Evidence, how: Draws) -> dict[str, Reading]:
    """Every reading that both models have, over the items that both answered.

    Returns:
        By name, in the unit of the reading: a loss is not turned around.
    """
    found = {}
    for name in evidence.readings_before:
        other = _as_evidence(evidence, name)
        if other is not None:
            before, after, change = figures(other, how)
            if name in LOWER_IS_BETTER:
                before, after, change = before.turned(), after.turned(), change.turned()
            found[name] = Reading(name, before, after, change)
    return found


def nature_of_loss(
    evidence: Evidence, readings: Mapping[str, Reading], *, budget: float, nats_budget: float
) -> Nature | None:
    """Whether form or knowledge was lost, where the strict score was lost.

    ``format`` if a lenient reading is intact: its loss is at most the budget, or a quarter of the
    strict loss, with all of its interval.  ``knowledge`` if none is, and one fell by more than
    that, significantly.  The likelihood of the right answer can acquit only where answers are
    written: where they are chosen, others may have become likelier still.

    Args:
        evidence: The task.
        readings: As from :func:`compare_readings`.
        budget: Largest loss accepted of an accuracy.
        nats_budget: Largest loss accepted of a log-likelihood.
    """
    before, after = evidence.scores
    strict = float(before.mean() - after.mean())
    fell = False
    for name in LENIENT:
        other = _as_evidence(evidence, name) if name in readings else None
        if other is None or (other.before.scores, other.after.scores) == _strict(evidence):
            continue
        margin = nats_budget
        if other.unit == "accuracy":
            margin = max(budget, _INTACT * strict if evidence.unit == "accuracy" else 0.0)
        change = readings[name].change
        if name in LOWER_IS_BETTER:
            change = change.turned()
        if change.value is None or change.interval is None:
            continue
        written = name not in LOWER_IS_BETTER or evidence.chance is None
        if -change.interval.low <= margin and written:
            return "format"
        significant = sign_flip(other.changes) <= 1 - change.interval.level
        fell = fell or (-change.value > margin and significant)
    return "knowledge" if fell else None


def _as_evidence(evidence: Evidence, name: str) -> Evidence | None:
    """A reading in the place of the scores; None if it is no score, or was not taken twice."""
    before = evidence.readings_before.get(name, {})
    after = evidence.readings_after.get(name, {})
    ids = [item for item in evidence.ids if item in before and item in after]
    if not ids or name in NOT_SCORES:
        return None
    sign = -1.0 if name in LOWER_IS_BETTER else 1.0
    first, second = (
        Cell({item: sign * values[item] for item in ids}) for values in (before, after)
    )
    values = [*first.scores.values(), *second.scores.values()]
    unit: Unit = "accuracy"
    if name in LOWER_IS_BETTER or not all(0 <= value <= 1 for value in values):
        unit = "nats"
    if unit == "nats" and max(values) > 0:
        return None  # neither an accuracy nor a log-likelihood
    return Evidence(evidence.task, unit, first, second, groups=evidence.groups)


def _strict(evidence: Evidence) -> tuple[dict[str, float], dict[str, float]]:
    before, after = evidence.before.scores, evidence.after.scores
    return {i: before[i] for i in evidence.ids}, {i: after[i] for i in evidence.ids}


def _score(scores: Any, row: int, task: str) -> Any:
    return scores.score(row, task)


def _change(scores: Any, task: str) -> Any:
    return scores.score(1, task) - scores.score(0, task)
