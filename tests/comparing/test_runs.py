"""The items of a run in two halves: one chooses, the other is reported."""

from __future__ import annotations

from pathlib import Path

from forgetless.comparing.runs import Job, execute, finished, halves
from forgetless.metrics import ScoreMatrix, TaskColumn
from forgetless.result import RunResult
from tests.integration.conftest import MakePlan, data, plan  # noqa: F401
from tests.metrics.build import cell


def test_every_other_item_chooses() -> None:
    matrix = ScoreMatrix(["base"], [TaskColumn("law")], {(0, "law"): cell("101x")})
    first, second = (half.cells[0, "law"] for half in halves(matrix))
    assert first.scores == {"q0": 1.0, "q2": 1.0}  # type: ignore[union-attr]
    assert second.scores == {"q1": 0.0}  # type: ignore[union-attr]
    assert list(second.errors) == ["q3"]  # type: ignore[arg-type]


def test_a_passage_is_never_in_both_halves() -> None:
    groups = {f"q{number}": f"passage {number // 3}" for number in range(9)}
    tasks = [TaskColumn("law", groups=groups)]
    halved = halves(ScoreMatrix(["base"], tasks, {(0, "law"): cell("111000110")}))
    passages = [{groups[item] for item in half.cell(0, "law").scores} for half in halved]
    assert passages == [{"passage 0", "passage 2"}, {"passage 1"}]
    assert halved[0].column("law").groups == groups


def test_what_is_withheld_neither_chooses_nor_is_reported() -> None:
    matrix = ScoreMatrix(["base"], [TaskColumn("law")], {(0, "law"): cell("101010")})
    halved = halves(matrix, {"law": frozenset({"q0", "q3"})})
    assert [list(half.cell(0, "law").scores) for half in halved] == [["q1", "q4"], ["q2", "q5"]]


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
    assert [*now.search.cell(2, "choices").scores] == [items[1], items[4]]
    assert [*now.report.cell(2, "choices").scores] == [items[2], items[5]]
    before = finished(job, tmp_path)
    assert before is not None
    assert before.search is not None
    assert now.search.score(2, "first") == before.search.score(2, "first")
    assert (now.stages, now.peak_memory_mb) == (before.stages, before.peak_memory_mb)
