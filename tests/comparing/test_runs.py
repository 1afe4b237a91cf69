"""The items of a run in two halves: one chooses, the other is reported."""

from __future__ import annotations

from forgetless.comparing.runs import halves
from forgetless.metrics import ScoreMatrix, TaskColumn
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
