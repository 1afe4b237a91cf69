"""Runs of several seeds as one matrix."""

from __future__ import annotations

import pytest

from forgetless.comparing.conclusion import over_seeds
from forgetless.metrics import ScoreMatrix, TaskColumn, average_accuracy
from tests.metrics.build import cell


def run(base: str, end: str) -> ScoreMatrix:
    tasks = [TaskColumn("law", trained_in=1, groups={"q0": "p", "q1": "p"})]
    return ScoreMatrix(["base", "law"], tasks, {(0, "law"): cell(base), (1, "law"): cell(end)})


def test_every_item_gets_its_mean_over_the_seeds() -> None:
    found = over_seeds([run("0000", "1100"), run("0100", "1010"), run("0000", "1001")])
    assert found.cell(1, "law").scores == {"q0": 1.0, **dict.fromkeys(("q1", "q2", "q3"), 1 / 3)}
    assert average_accuracy(found) == pytest.approx(0.5)
    assert found.column("law").groups == {"q0": "p", "q1": "p"}


def test_an_item_that_one_seed_could_not_score_is_left_out() -> None:
    found = over_seeds([run("0000", "1111"), run("0000", "10x1")])
    assert found.cell(1, "law").scores == {"q0": 1.0, "q1": 0.5, "q3": 1.0}
    assert list(found.cell(1, "law").errors) == ["q2"]
    assert found.excluded_items("law") == 1


def test_one_seed_is_left_as_it_is() -> None:
    assert over_seeds([run("0010", "1101")]).values == run("0010", "1101").values
