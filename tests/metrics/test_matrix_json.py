from __future__ import annotations

import json
from typing import Any

import pytest

from forgetless.errors import DataError, NotMeasured
from forgetless.metrics import (
    average_accuracy,
    backward_transfer,
    forgetting,
    interval,
    matrix_from_json,
    matrix_to_json,
)

from .build import by_hand, itemised

RUN = itemised(
    {"law": ["0001", "111x", "1100"], "tax": ["0000", None, "1110"], "art": ["11", "xx", "01"]},
    trained_in={"law": 1, "tax": 2},
)


def test_every_figure_comes_back_as_it_was() -> None:
    back = matrix_from_json(json.loads(json.dumps(matrix_to_json(RUN), allow_nan=False)))
    assert back.values == RUN.values
    assert (back.stages, back.tasks, back.missing) == (RUN.stages, RUN.tasks, RUN.missing)
    for figure in (average_accuracy, backward_transfer):
        assert figure(back) == figure(RUN)
    assert forgetting(back, "law") == forgetting(RUN, "law")
    assert [back.item_count(task.name) for task in back.tasks] == [3, 4, 2]
    assert [back.excluded_items(task.name) for task in back.tasks] == [1, 0, 0]


def test_file_says_what_was_measured_on_how_many_items_and_what_was_not() -> None:
    data = matrix_to_json(RUN)
    assert data["format"] == 1
    assert data["tasks"][0] == {"name": "law", "unit": "accuracy", "trained_in": 1}
    assert data["scores"] == [[0.0, 0.0, 1.0], [1.0, None, None], [2 / 3, 0.75, 0.5]]
    assert data["n"] == [[3, 4, 2], [3, None, None], [3, 4, 2]]
    assert data["errors"] == [[0, 0, 0], [1, None, 2], [0, 0, 0]]
    assert data["excluded"] == {"law": 1, "tax": 0, "art": 0}
    assert data["missing"] == {
        "tax": {"1": "no result was recorded"},
        "art": {"1": "none of its 2 items could be scored (the first: timeout)"},
    }
    expected = interval(lambda scores: scores.score(2, "tax"), RUN)
    assert data["intervals"][2][1] == expected.to_json()
    assert data["intervals"][1][1] is None


def test_without_its_intervals_the_file_says_all_else() -> None:
    whole, quick = matrix_to_json(RUN), matrix_to_json(RUN, intervals=False)
    assert {limits for line in quick["intervals"] for limits in line} == {None}
    assert quick | {"intervals": whole["intervals"]} == whole


def test_matrix_without_items_goes_there_and_back_without_intervals() -> None:
    matrix = by_hand(law=(1, [0.25, None]))
    data = matrix_to_json(matrix)
    assert data["intervals"] == data["n"] == [[None], [None]]
    assert matrix_to_json(matrix_from_json(data)) == data


def test_items_do_not_come_back_and_the_matrix_says_so() -> None:
    with pytest.raises(NotMeasured, match="only mean scores are known"):
        matrix_from_json(matrix_to_json(RUN)).paired("law")


def changed(**parts: object) -> dict[str, Any]:
    return {**matrix_to_json(by_hand(law=(1, [0.25, 0.75]))), **parts}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "runs/a/matrix.json: found list, needed an object"),
        (changed(format=2), "'format' is 2, this version reads 1"),
        ({"format": 1}, "'tasks' is missing"),
        (changed(scores=[[0.25]]), r"'scores' has rows of \[1\] entries for 2 stages and 1 tasks"),
        (changed(scores=[[0.25], ["high"]]), "not a score matrix"),
        (changed(scores=[[0.25], [float("nan")]]), "a mean is nan"),
        (changed(scores=[[0.25], [75.0]]), "percentage"),
        (changed(scores=[[0.25], [10**400]]), "not a score matrix"),
        (changed(scores=3), "not a score matrix"),
        (changed(missing={"law": {"one": "cut"}}), "not a score matrix"),
        (changed(missing={"law": {"1": "cut"}}), "both measured and missing"),
        (changed(tasks=[{"name": "law", "unit": "accuracy"}]), "'trained_in' is missing"),
        (changed(tasks=[{"name": "law", "unit": "nats", "trained_in": 1}]), "change its sign"),
    ],
)
def test_file_that_is_not_a_matrix_is_refused(data: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        matrix_from_json(data, "runs/a/matrix.json")
