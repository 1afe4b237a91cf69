"""The items of a run in two halves: one chooses, the other is reported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from forgetless.comparing import runs
from forgetless.comparing.runs import Job, execute, finished, halves
from forgetless.evaluation.answers import SCORING
from forgetless.metrics import Cell, ScoreMatrix, TaskColumn
from forgetless.result import RunResult
from tests.integration.conftest import MakePlan, data, plan  # noqa: F401
from tests.metrics.build import cell


def test_half_of_the_items_choose_and_no_score_or_failure_is_lost() -> None:
    whole = cell("10110x01x1")
    first, second = (half.cell(0, "law") for half in halves(one_task(whole)))
    assert len({*first.scores, *first.errors}) == 5
    assert {**first.scores, **second.scores} == whole.scores
    assert {**first.errors, **second.errors} == whole.errors


def test_items_that_alternate_between_two_kinds_are_not_divided_by_their_kinds() -> None:
    for half in halves(one_task(cell("10" * 40))):
        kinds = {int(item[1:]) % 2 for item in half.cell(0, "law").scores}
        assert kinds == {0, 1}


def test_a_row_with_fewer_items_is_divided_as_the_others() -> None:
    cells = {(0, "law"): cell("10110"), (1, "law"): Cell({"q0": 1.0, "q1": 0.0, "q4": 1.0})}
    for half in halves(ScoreMatrix(["base", "tax"], [TaskColumn("law")], cells)):
        before, after = (half.cell(row, "law").scores for row in (0, 1))
        assert set(after) == set(before) & {"q0", "q1", "q4"}


def test_a_passage_is_never_in_both_halves() -> None:
    groups = {f"q{number}": f"passage {number // 3}" for number in range(9)}
    halved = halves(one_task(cell("111000110"), groups))
    passages = [{groups[item] for item in half.cell(0, "law").scores} for half in halved]
    assert sorted(map(len, passages)) == [1, 2]
    assert not set.intersection(*passages)
    assert halved[0].column("law").groups == groups


def test_what_is_withheld_neither_chooses_nor_is_reported() -> None:
    withheld = {"law": frozenset({"q0", "q3"})}
    first, second = (half.cell(0, "law") for half in halves(one_task(cell("101010")), withheld))
    assert len(first.scores) == len(second.scores) == 2
    assert {*first.scores, *second.scores} == {"q1", "q2", "q4", "q5"}


def one_task(scores: Cell, groups: Mapping[str, str] | None = None) -> ScoreMatrix:
    return ScoreMatrix(["base"], [TaskColumn("law", groups=groups or {})], {(0, "law"): scores})


def test_a_finished_run_is_divided_as_it_is_asked_for_now(
    plan: MakePlan,  # noqa: F811
    tmp_path: Path,
) -> None:
    settings = plan("run").resolved()
    del settings["output"]
    job = Job("one", settings, split_items=True)
    execute(job, tmp_path, False)
    items = sorted(RunResult(tmp_path / "one").matrix.cell(2, "choices").scores)
    assert len(items) == 6
    withheld = {"choices": frozenset(items[::3])}
    now = finished(Job("one", settings, split_items=True, withheld=withheld), tmp_path)
    assert now is not None
    assert now.search is not None
    assert now.report is not None
    chosen, reported = ({*half.cell(2, "choices").scores} for half in (now.search, now.report))
    assert len(chosen) == len(reported) == 2
    assert chosen | reported == {items[1], items[2], items[4], items[5]}
    before = finished(job, tmp_path)
    assert before is not None
    assert before.search is not None
    assert now.search.score(2, "first") == before.search.score(2, "first")
    assert (now.stages, now.peak_memory_mb) == (before.stages, before.peak_memory_mb)


def test_a_run_whose_answers_would_be_scored_otherwise_now_is_not_finished(
    plan: MakePlan,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = plan("run").resolved()
    del settings["output"]
    execute(job := Job("one", settings), tmp_path, False)
    assert finished(job, tmp_path) is not None
    monkeypatch.setattr(runs, "SCORING", SCORING + 1)
    assert finished(job, tmp_path) is None


def test_an_arm_that_finds_no_memory_has_failed_and_says_why(
    plan: MakePlan,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ended(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("forgetless.models.load.load_model", ended)
    job = Job("run", {key: value for key, value in plan().resolved().items() if key != "output"})
    execute(job, tmp_path, fresh=True)
    found = finished(job, tmp_path)
    assert found is not None
    assert found.failed == "0-base: out of memory; everything finished before is kept"
