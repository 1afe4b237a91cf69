"""The same words in every form."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from forgetless.metrics import Verdict
from forgetless.report.audit.phrases import (
    MEANINGS,
    ORDER,
    gate_line,
    itself,
    notes,
    tally,
    tone,
    why,
    word,
)

from .fake_audits import audit, verdict


def test_every_verdict_has_a_meaning_and_a_place() -> None:
    assert set(MEANINGS) == set(ORDER) == {*get_args(Verdict), "gained"}


def test_at_floor_is_not_said_to_be_guessing_alone() -> None:
    """Written answers cannot be guessed: there the model before was right too rarely."""
    assert "was right too rarely for a loss to be seen" in MEANINGS["at floor"]


def test_one_model_is_not_named_and_several_are() -> None:
    assert gate_line(audit(later=False)) == (
        "Budget broken (exit code 3): facts and format lost more than 5 points."
    )
    assert gate_line(audit()) == (
        "Budget broken (exit code 3): tuned: facts and format lost more than 5 points. "
        "(later: budget kept)"
    )


def test_all_decisive_models_are_told() -> None:
    found = audit("kept")
    assert gate_line(found).count("no task lost more than 5 points.") == 2


def test_verdicts_are_counted_gravest_first() -> None:
    assert tally(audit().comparisons[0]) == (
        "8 tasks: 2 lost, 1 failed, 1 inconclusive, 2 kept, 1 at floor and 1 at ceiling."
    )


def test_a_task_that_rose_from_the_floor_is_not_called_at_floor() -> None:
    first = audit().comparisons[0]
    new = verdict("shorthand", "at floor", 0.0, 1.0, half=0.1)
    assert tally(replace(first, verdicts=(new,))) == "1 task: 1 gained."
    assert (word(new), tone(new)) == ("gained", "gained")


def test_items_that_would_decide_are_told_once() -> None:
    unsure = verdict("law", "inconclusive", 0.5, 0.5, needed=1450, reason="too few")
    assert why(unsure) == "too few. About 1,450 items would decide."
    told = replace(unsure, reason="about 1,450 items would decide")
    assert why(told) == "about 1,450 items would decide."


def test_flips_without_a_loss_are_told_with_the_way_of_asking() -> None:
    assert itself(verdict("law", "kept", 0.5, 0.5)) == "2.5 and 1 of 40 (choices permuted)"
    assert itself(replace(verdict("law", "kept", 0.5, 0.5), null=None)) == ""


def test_a_note_is_told_once() -> None:
    found = audit()
    twice = replace(found, tasks=(*found.tasks, found.tasks[-1]))
    assert notes(twice) == notes(found)
