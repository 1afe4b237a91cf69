"""Lenient readings tell a lost form from lost knowledge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from forgetless.metrics import Evidence, Nature, TaskVerdict, judge

from .build import cell

ITEMS = 200


def marks(right: int) -> list[float]:
    return [float(i < right) for i in range(ITEMS)]


def values(scores: list[float]) -> dict[str, float]:
    return {f"q{i}": score for i, score in enumerate(scores)}


def losses(mean: float, seed: int = 0) -> dict[str, float]:
    noise = np.random.default_rng(seed).normal(0, 0.05, ITEMS)
    return values([float(value) for value in (mean + noise).clip(0.01)])


def lost(before: dict[str, Any], after: dict[str, Any], **more: Any) -> TaskVerdict:
    """The verdict on a task that falls from 160 right to 60 right of 200."""
    evidence = Evidence(
        "law", "accuracy", cell(marks(160)), cell(marks(60)),
        readings_before=before, readings_after=after, **more,
    )  # fmt: skip
    found = judge([evidence], budget=0.02, draws=500)[0]
    assert found.verdict == "lost"
    return found


@pytest.mark.parametrize("name", ["contains", "lenient"])
@pytest.mark.parametrize(
    ("contains", "nature"),
    [(170, "format"), (165, "format"), (180, "format"), (70, "knowledge"), (110, "knowledge"),
     (147, None)],
)  # fmt: skip
def test_answers_that_still_contain_the_right_one_lost_their_form(
    name: str, contains: int, nature: Nature | None
) -> None:
    found = lost({name: values(marks(170))}, {name: values(marks(contains))})
    assert found.nature == nature
    reading = found.readings[name]
    assert reading.before.value == 0.85
    assert reading.after.value == contains / 200
    assert reading.change.value == pytest.approx((contains - 170) / 200)
    if nature == "format":
        told = f"{name} 0.85 before, {contains / 200:.3f}".removesuffix("0")
        assert f"form of its answers was lost, not the knowledge ({told} after)" in found.reason


def test_a_right_answer_that_is_as_likely_as_before_was_not_forgotten() -> None:
    assert lost({"nll": losses(1.0)}, {"nll": losses(1.0, 1)}).nature == "format"
    assert lost({"nll": losses(1.0)}, {"nll": losses(1.4, 1)}).nature == "knowledge"


def test_likelihood_alone_does_not_acquit_where_answers_are_chosen() -> None:
    same = {"nll": losses(1.0)}, {"nll": losses(1.0, 1)}
    assert lost(*same, chance=0.25).nature is None
    less = {"nll": losses(1.0)}, {"nll": losses(1.4, 1)}
    assert lost(*less, chance=0.25).nature == "knowledge"


def test_losses_are_reported_as_they_are_read() -> None:
    reading = lost({"nll": losses(1.0)}, {"nll": losses(1.4, 1)}).readings["nll"]
    assert reading.before.value == pytest.approx(1.0, abs=0.02)
    assert reading.change.value == pytest.approx(0.4, abs=0.02)
    assert reading.change.interval is not None
    assert 0.3 < reading.change.interval.low < reading.change.interval.high < 0.5


def test_one_intact_reading_is_enough() -> None:
    before = {"contains": values(marks(170)), "nll": losses(1.0)}
    after = {"contains": values(marks(70)), "nll": losses(1.0, 1)}
    assert lost(before, after).nature == "format"


def test_the_strict_score_under_another_name_says_nothing() -> None:
    before, after = {"contains": values(marks(160))}, {"contains": values(marks(60))}
    assert lost(before, after).nature is None


def test_readings_that_are_no_scores_or_were_taken_once_are_left_out() -> None:
    before = {"tokens": values([5.0] * 200), "old": values(marks(3)), "length": values([9.0] * 200)}
    after = {"tokens": values([5.0] * 200), "new": values(marks(3)), "length": values([8.0] * 200)}
    found = lost(before, after)
    assert found.readings == {}
    assert found.nature is None


def test_only_a_loss_has_a_nature() -> None:
    evidence = Evidence(
        "law", "accuracy", cell(marks(160)), cell(marks(160)),
        readings_before={"contains": values(marks(170))},
        readings_after={"contains": values(marks(100))},
    )  # fmt: skip
    found = judge([evidence], budget=0.05)[0]
    assert found.nature is None
    assert found.readings["contains"].after.value == 0.5


def test_a_task_at_floor_says_so_where_its_answers_do_contain_what_was_asked_for() -> None:
    """None of 200 is right to the letter, and 150 have the answer in them."""

    def reason(containing: int) -> str:
        evidence = Evidence(
            "law", "accuracy", cell(marks(0)), cell(marks(0)),
            readings_before={"contains": values(marks(containing))},
            readings_after={"contains": values(marks(20))},
        )  # fmt: skip
        found = judge([evidence], budget=0.05)[0]
        assert found.verdict == "at floor"
        return found.reason

    assert reason(150).endswith("; but 0.75 contain the answer: score  contains  sees those")
    assert reason(10).endswith("no loss can be seen")  # 5 points: within the budget
