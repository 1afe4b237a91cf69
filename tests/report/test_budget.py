"""The retention budget in reports: words, nearest choices, rows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from forgetless.errors import RunFolderError
from forgetless.metrics import Cell, Evidence, ScoreMatrix, TaskColumn, judge, word_for
from forgetless.report.budget import (
    BudgetOutcome,
    Choice,
    StageBudget,
    _stage,
    budget_outcome,
    choice_lines,
    headline,
    shortfall,
    stage_rows,
    task_rows,
    told,
)
from forgetless.report.data import StageInfo
from forgetless.report.record import Record
from tests.metrics.build import cell


def choice(alpha: float, learned: float, lost: float, origin: str = "start") -> Choice:
    return Choice(origin, alpha, learned, {"old": lost})


def stage(status: str = "merged", *choices: Choice, **changes: Any) -> StageBudget:
    known: dict[str, Any] = {
        "stage": "new", "status": status, "left": choice(0.5, 0.6, 0.0),
        "given_up": {"new": 0.3}, "gained": {"new": 0.8}, "price": 4.0, "choices": choices,
        "allowed": {"old": 0.1},
    }  # fmt: skip
    return StageBudget(**(known | changes))


def task(lost: int, items: int = 400, budget: float = 0.1) -> Any:
    before = Cell({str(n): 1.0 for n in range(items)}, {})
    after = Cell({str(n): float(n >= lost) for n in range(items)}, {})
    (found,) = judge([Evidence("old", "accuracy", before, after)], budget=budget)
    return found


def test_no_loss_in_many_items_is_certified_and_a_large_one_is_not() -> None:
    assert word_for(task(0)) == "certified"
    assert word_for(task(200)) == "not certified"
    assert word_for(task(1, items=8)) == "inconclusive"


def test_the_frontier_has_what_nothing_else_beats_in_both() -> None:
    points = (choice(1.0, 1.0, 0.5, "end"), choice(0.9, 0.7, 0.5), choice(0.5, 0.6, 0.2),
              choice(0.2, 0.5, 0.3), choice(0.0, 0.0, 0.0))  # fmt: skip
    assert [one.alpha for one in stage("merged", *points).frontier] == [1.0, 0.5, 0.0]


def test_a_budget_is_kept_if_nothing_broke_it_and_every_stage_learned() -> None:
    assert BudgetOutcome((stage(),), (task(0),)).kept
    assert shortfall(BudgetOutcome((stage(),), (task(0),))) == ""
    for idle, lost, why in (
        (True, 0, "within the budget next to nothing was learned in stage new"),
        (False, 200, "the budget of old was not kept"),
    ):
        outcome = BudgetOutcome((stage("not both" if idle else "held"),), (task(lost),))
        assert not outcome.kept
        assert shortfall(outcome) == why


def test_what_cannot_both_be_had_is_said_with_the_nearest_choices() -> None:
    end, start = choice(1.0, 1.0, 0.5, "end"), choice(0.0, 0.0, 0.0)
    (sentence,) = told(BudgetOutcome((stage("not both", end, start),), ()))
    assert "cannot both be had" in sentence
    (choices,) = choice_lines(BudgetOutcome((stage("not both", end, start),), ()))
    assert (
        "the end: 100% learned, old lost 0.50; 0% from start: 0% learned, old lost 0.00" in choices
    )
    assert choice_lines(BudgetOutcome((stage("held", end),), ())) == []
    assert told(BudgetOutcome((stage(),), (task(0),))) == []
    assert "budget of old was not kept" in told(BudgetOutcome((stage(),), (task(200),)))[0]


def test_a_stage_that_gained_nothing_is_told_though_it_kept_its_budget() -> None:
    useless = stage("held", gained={"new": 0.0})
    assert told(BudgetOutcome((useless,), (task(0),))) == [
        "stage new: gained nothing on the items that guard"
    ]


def test_rows_count_a_loss_as_positive_and_say_how_large_it_may_be() -> None:
    outcome = BudgetOutcome((stage(),), (task(200),))
    (row,) = task_rows(outcome)
    assert row[:5] == ["old", "0.10", "1.00", "0.50", "+0.50"]
    assert 0.5 < float(row[5]) < 0.6
    assert row[-1] == "not certified"
    assert stage_rows(outcome) == [["new", "50% from start", "60%", "new 0.30", "4.00×"]]
    assert headline(outcome) == "1 not certified"


def test_only_what_is_certified_of_every_task_is_claimed_of_all_at_once() -> None:
    kept, unsure = task(0), task(1, items=8)
    assert headline(BudgetOutcome((), (kept, kept))) == (
        "2 certified, and so all at once, with 95% confidence"
    )
    assert headline(BudgetOutcome((), (kept, kept, unsure))) == (
        "2 certified, each for itself, 1 inconclusive"
    )
    assert headline(BudgetOutcome((), (kept, unsure))) == "1 certified, 1 inconclusive"


def test_a_kept_task_that_could_not_be_scored_at_the_end_is_not_certified() -> None:
    texts = {"new": ("00", "11"), "old": ("1" * 400, "1" * 400), "lang": ("11", "xx")}
    cells = {
        (row, name): cell(text) for name, rows in texts.items() for row, text in enumerate(rows)
    }
    tasks = [TaskColumn("new", trained_in=1), TaskColumn("old"), TaskColumn("lang")]
    record = {"status": "held", "checks": [], "asked": [], "given_up": {}, "gained": {"new": 1.0},
              "left": {"from": "end", "alpha": 1.0, "learned": 1.0, "losses": {}},
              "allowed": {"old": 0.02, "lang": 0.02}}  # fmt: skip
    run: Any = SimpleNamespace(
        stages=[StageInfo(1, "1-new", ("new",), "done", None, None, None, record)],
        tasks=tasks,
        matrix=ScoreMatrix(["base", "new"], tasks, cells),
    )
    outcome = budget_outcome(run)
    assert outcome is not None
    assert [(one.task, word_for(one)) for one in outcome.tasks] == [
        ("old", "certified"),
        ("lang", "not certified"),
    ]
    assert not outcome.kept
    assert headline(outcome) == "1 certified, 1 not certified"


def test_a_damaged_record_is_refused_with_its_place() -> None:
    info = StageInfo(2, "2-new", ("new",), "done", None, None, None, {})
    with pytest.raises(RunFolderError, match="checks"):
        _stage(info, Record({}, "manifest.json: 2-new"))
