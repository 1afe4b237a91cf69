"""Runs of several seeds as one matrix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from forgetless.comparing.arms import Candidate
from forgetless.comparing.conclusion import at_once, conclude, mean_forgetting, over_seeds
from forgetless.comparing.menu import bounds
from forgetless.comparing.protocol import Choice, Outcome
from forgetless.comparing.runs import Measured
from forgetless.comparing.settings import Setting
from forgetless.metrics import ScoreMatrix, TaskColumn, average_accuracy, average_forgetting
from forgetless.plan import make_plan
from forgetless.report.comparison import failures
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


def test_forgetting_is_found_seed_by_seed() -> None:
    # The best score is 1 in both, after another stage each; of the means it would be 3/4.
    def seed(*rows: str) -> ScoreMatrix:
        cells = {(row, "law"): cell(text) for row, text in enumerate(rows)}
        stages = ["base", "law", "art", "tax"]
        return ScoreMatrix(stages, [TaskColumn("law", trained_in=1)], cells)

    seeds = [seed("0000", "1111", "1100", "1100"), seed("0000", "1100", "1111", "1100")]
    assert mean_forgetting(*seeds) == pytest.approx(0.5)
    assert average_forgetting(over_seeds(seeds)) == pytest.approx(0.25)


def test_an_arm_of_which_one_seed_failed_says_which_and_why(tmp_path: Path) -> None:
    failed, done = Measured(failed="the disk was full"), Measured()
    runs = {3: done, 4: failed}
    point = Candidate(1e-4)
    setting = Setting(lambda _: {}, (1e-4,), search_seeds=(2,), seeds=(3, 4), split_items=True)
    outcomes = [Outcome(arm, Choice(point, {point: 0.5}), runs) for arm in bounds()]
    plan = make_plan({"model": "m", "sequence": ["law.jsonl"]})
    found = conclude(plan, setting, outcomes, tmp_path)
    assert [arm.failed for arm in found.arms] == ["seed 4: the disk was full"] * 2
    assert failures(found)[0] == "sequential: seed 4: the disk was full"


def test_one_seed_is_left_as_it_is() -> None:
    assert over_seeds([run("0010", "1101")]).values == run("0010", "1101").values


def test_of_useless_arms_none_looks_useful_in_nineteen_of_twenty_comparisons() -> None:
    rng = np.random.default_rng(0)
    for arms in (1, 6):
        width = norm.isf((1 - at_once(arms)) / 2)
        useful = (rng.standard_normal((20_000, arms)) > width).any(axis=1).mean()
        assert useful == pytest.approx(0.025, abs=0.004)
