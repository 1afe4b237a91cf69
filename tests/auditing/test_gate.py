"""One word over all tasks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forgetless.auditing.gate import judge_gate
from forgetless.auditing.result import EXIT_CODES, GateStatus
from forgetless.metrics import Figure, Interval, TaskVerdict, Verdict

NOTHING = Figure(None, None, "not measured")


def verdicts(*words: Verdict) -> list[TaskVerdict]:
    return [
        TaskVerdict(f"task{n}", "accuracy", word, "", 0.05, 100, 0, NOTHING, NOTHING, NOTHING)
        for n, word in enumerate(words)
    ]


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("kept", "kept"), "kept", 0),
        (("kept", "at ceiling"), "kept", 0),
        (("kept", "at floor"), "kept", 0),
        (("at floor", "at floor"), "inconclusive", 4),
        (("kept", "inconclusive"), "inconclusive", 4),
        (("kept", "inconclusive", "lost"), "broken", 3),
        (("lost", "failed"), "failed", 1),
    ],
)
def test_the_worst_task_decides(words: tuple[Verdict, ...], status: GateStatus, code: int) -> None:
    assert judge_gate(verdicts(*words))[0] == status
    assert EXIT_CODES[status] == code


def test_the_reason_names_the_tasks() -> None:
    _, reason = judge_gate(verdicts("lost", "kept", "lost", "lost"))
    assert reason == "lost more than the budget on task0, task2 and task3"
    _, reason = judge_gate(verdicts("kept", "at floor"))
    assert reason.startswith("kept within the budget on 1 task; task1 cannot show a loss")


def test_a_task_that_had_nothing_to_lose_and_gained_is_told_as_a_gain() -> None:
    kept, new = verdicts("kept", "at floor")
    rise = Figure(1.0, Interval(0.9, 1.0, 0.95, "percentile bootstrap"), None)
    assert judge_gate([kept, replace(new, change=rise)]) == (
        "kept",
        "kept within the budget on 1 task; task1 gained and had nothing to lose",
    )


@pytest.mark.parametrize("words", [("at floor",), ("kept", "at floor")])
def test_nothing_is_said_of_chance_where_answers_cannot_be_guessed(words: tuple[Verdict]) -> None:
    reason = judge_gate(verdicts(*words))[1]
    assert "chance" not in reason
    assert "the model before has too little to lose" in reason
