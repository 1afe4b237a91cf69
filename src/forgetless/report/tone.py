"""What became of an arm's tasks, in a word: the ground on which its verdict is written."""

from __future__ import annotations

from typing import Literal

from forgetless.report.analysis import Arm
from forgetless.report.outcome import Fate, TaskOutcome
from forgetless.report.phrases import value_of

Tone = Literal["lost", "kept", "improved", "inconclusive", "not learned", "unknown"]


_SAYS_NOTHING = ("absent", "at floor")
"""Fates of tasks that could not be seen to be lost or kept."""


def tone_of(arm: Arm) -> Tone:
    """What became of an arm's tasks, the gravest first."""
    judged = _judged(arm)
    fates = {outcome.fate for outcome in judged}
    if "lost" in fates:
        return "lost"
    taught = any(outcome.learning in ("learned", "known") for outcome in arm.outcomes)
    if not judged and not taught and failed_tasks(arm):
        return "not learned"
    if "inconclusive" in fates:
        return "inconclusive"
    if "improved" in fates:
        return "improved"
    return "kept" if fates else "unknown"


def _judged(arm: Arm) -> list[TaskOutcome]:
    """The tasks whose fate says something; what was never learned cannot be kept."""
    return [
        outcome
        for outcome in arm.outcomes
        if outcome.fate == "lost"
        or (outcome.fate not in _SAYS_NOTHING and outcome.learning != "not learned")
    ]


def failed_tasks(arm: Arm) -> list[TaskOutcome]:
    """The trained tasks whose stage did not measurably teach them."""
    return [outcome for outcome in arm.outcomes if outcome.learning == "not learned"]


def tasks_with_fate(arm: Arm, *fates: Fate) -> list[TaskOutcome]:
    """The judged tasks of these fates: greatest loss first, accuracies before nats.

    The two have no common scale, so they are not ranked against each other.
    """
    found = [outcome for outcome in _judged(arm) if outcome.fate in fates]
    return sorted(found, key=lambda o: (o.task.unit == "nats", -value_of(o.loss)))
