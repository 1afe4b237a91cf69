from __future__ import annotations

import math

import pytest

from forgetless.errors import NotMeasured
from forgetless.metrics import Cell, CellMean, ScoreMatrix, TaskColumn

from .build import by_hand, cell, itemised


def test_score_is_the_mean_over_items() -> None:
    assert itemised({"law": ["1101", "1000"]}).values == [[0.75], [0.25]]


def test_item_that_failed_in_one_row_counts_in_no_row() -> None:
    matrix = itemised({"law": ["1101", "x100", "1111"]})
    assert matrix.values == [[2 / 3], [1 / 3], [1.0]]
    assert matrix.item_count("law") == 3
    assert matrix.excluded_items("law") == 1


def test_item_that_one_row_never_saw_counts_in_no_row() -> None:
    matrix = itemised({"law": ["110", "11"]})
    assert matrix.values == [[1.0], [1.0]]
    assert matrix.excluded_items("law") == 1


def test_items_are_paired_by_id_and_not_by_position() -> None:
    cells = {(0, "law"): Cell({"a": 1.0, "b": 0.0}), (1, "law"): Cell({"b": 0.0, "a": 1.0})}
    paired = ScoreMatrix(["base", "tax"], [TaskColumn("law")], cells).paired("law")
    assert paired.ids == ("a", "b")
    assert paired.rows[0].tolist() == paired.rows[1].tolist() == [1.0, 0.0]


def test_row_in_which_every_item_failed_is_missing_with_the_first_reason() -> None:
    matrix = itemised({"law": ["11", "xx", "10"]})
    assert matrix.values == [[1.0], [None], [0.5]]
    with pytest.raises(NotMeasured, match=r"none of its 2 items could be scored .*timeout"):
        matrix.score(1, "law")


def test_rows_without_a_common_item_have_no_score() -> None:
    matrix = itemised({"law": ["1x", "x1"]})
    assert matrix.values == [[None], [None]]
    with pytest.raises(NotMeasured, match="no item was scored in every row"):
        matrix.score(0, "law")


def test_empty_cell_is_missing_and_not_zero() -> None:
    matrix = ScoreMatrix(["base"], [TaskColumn("law")], {(0, "law"): Cell({})})
    with pytest.raises(NotMeasured, match="it has no items"):
        matrix.score(0, "law")


def test_missing_cell_says_its_reason() -> None:
    cells = {(0, "law"): cell("11")}
    tasks = [TaskColumn("law")]
    reasons = {(1, "law"): "the run was stopped"}
    with pytest.raises(NotMeasured, match=r"after stage 1 'tax' .*: the run was stopped"):
        ScoreMatrix(["base", "tax"], tasks, cells, reasons).score(1, "law")
    with pytest.raises(NotMeasured, match="no result was recorded"):
        ScoreMatrix(["base", "tax"], tasks, cells).score(1, "law")


def test_column_that_was_never_measured_hides_no_other() -> None:
    matrix = itemised({"law": ["11", "10"], "tax": [None, None]})
    assert matrix.values == [[1.0, None], [0.5, None]]


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_score_that_is_not_a_number_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="belongs in errors"):
        Cell({"q0": score})
    with pytest.raises(ValueError, match="leave out a cell"):
        CellMean(score)


def test_item_cannot_be_both_scored_and_failed() -> None:
    with pytest.raises(ValueError, match="item 'q0' has both"):
        Cell({"q0": 1.0}, {"q0": "timeout"})


def test_cell_cannot_be_both_measured_and_missing() -> None:
    with pytest.raises(ValueError, match="'law' after stage 0 is both measured and missing"):
        ScoreMatrix(["base"], [TaskColumn("law")], {(0, "law"): cell("1")}, {(0, "law"): "cut"})


def test_a_percentage_is_refused_whichever_item_has_it() -> None:
    scores = {"q0": 1.0, "q1": 75.0}  # a share, then one that is none
    with pytest.raises(ValueError, match="the score of 'q1' is 75"):
        ScoreMatrix(["base"], [TaskColumn("law")], {(0, "law"): Cell(scores)})


def test_percentages_and_losses_are_refused() -> None:
    with pytest.raises(ValueError, match=r"is 83, needed 0 to 1 .*percentage"):
        by_hand(law=(1, [0.5, 83]))
    with pytest.raises(ValueError, match=r"is 1\.2, needed a log-likelihood, at most 0 \(a loss"):
        by_hand(unit="nats", law=(1, [-2.0, 1.2]))


def test_cell_of_an_unknown_task_or_row_is_refused() -> None:
    with pytest.raises(ValueError, match="no task 'tax'"):
        ScoreMatrix(["base"], [TaskColumn("law")], {(0, "tax"): cell("1")})
    with pytest.raises(ValueError, match="no row 7"):
        ScoreMatrix(["base"], [TaskColumn("law")], {}, {(7, "law"): "cut off"})


def test_task_cannot_mix_items_and_means() -> None:
    with pytest.raises(ValueError, match="items in some rows and only means in others"):
        ScoreMatrix(
            ["base", "tax"],
            [TaskColumn("law")],
            {(0, "law"): cell("1"), (1, "law"): CellMean(0.5)},
        )


@pytest.mark.parametrize("values", [[[0.5]], [[0.5], [0.5, 0.5]]])
def test_values_of_the_wrong_shape_are_refused(values: list[list[float | None]]) -> None:
    with pytest.raises(ValueError, match=r"for 2 stages|for 1 tasks"):
        ScoreMatrix.from_values(["base", "law"], [TaskColumn("law")], values)


def test_matrix_made_by_hand_has_no_items_and_says_so() -> None:
    matrix = by_hand(law=(1, [0.5, 0.75]))
    for ask in (
        lambda: matrix.paired("law"),
        lambda: matrix.cell(0, "law"),
    ):
        with pytest.raises(NotMeasured, match="only mean scores are known"):
            ask()
