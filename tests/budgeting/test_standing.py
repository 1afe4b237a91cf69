"""Losses against a budget, by hand."""

from __future__ import annotations

import math

import pytest

from forgetless.budgeting.standing import loss_of
from forgetless.plan import BudgetConfig

BEFORE = {"a": 1.0, "b": 1.0, "c": 0.0, "d": 0.0}
NOW = {"a": 1.0, "b": 0.0, "c": 0.0, "d": 0.0}


def test_a_loss_is_the_mean_change_of_the_same_items_with_its_standard_error() -> None:
    loss = loss_of(BEFORE, NOW, BudgetConfig(loss=0.1), "law")
    assert loss.found == 0.25
    assert loss.error == pytest.approx(math.sqrt((0.75**2 + 3 * 0.25**2) / 3 / 4))  # 0.25
    assert loss.excess == pytest.approx(1.5)
    assert loss.answered == 1.0


def test_a_relative_budget_is_a_share_of_the_score_before() -> None:
    assert loss_of(BEFORE, NOW, BudgetConfig(loss=0.1, relative=True), "law").allowed == 0.05
    nats = loss_of({"a": -4.0}, {"a": -4.1}, BudgetConfig(loss=0.1, relative=True), "prose")
    assert nats.allowed == pytest.approx(0.4)
    assert nats.found == pytest.approx(0.1)


def test_a_part_of_a_budget_is_a_part_of_what_is_allowed() -> None:
    assert loss_of(BEFORE, NOW, BudgetConfig(loss=0.3), "law", 1 / 3).allowed == pytest.approx(0.1)


def test_what_a_group_loses_together_is_one_loss() -> None:
    before = dict.fromkeys("abcd", 1.0)
    now = {"a": 0.0, "b": 0.0, "c": 1.0, "d": 1.0}
    budget = BudgetConfig(loss=0.1)
    alone = loss_of(before, now, budget, "law")
    groups = {"a": "1", "b": "1", "c": "2", "d": "2"}
    together = loss_of(before, now, budget, "law", groups=groups)
    assert alone.error == pytest.approx(math.sqrt(4 * 0.25 / 3 / 4))
    assert together.error == pytest.approx(math.sqrt(2 * (1 + 1)) / 4)  # of +-1 by group
    assert together.found == alone.found == 0.5


def test_one_group_alone_is_never_clear_of_a_budget() -> None:
    groups = dict.fromkeys("abcd", "1")
    loss = loss_of(BEFORE, BEFORE, BudgetConfig(loss=0.1), "law", groups=groups)
    assert not loss.within(1.0, anyway=-1.0)
    assert loss.within(0.0, anyway=-1.0)


def test_a_task_may_have_a_budget_of_its_own() -> None:
    budget = BudgetConfig.model_validate({"loss": "2%", "tasks": {"law": "30%"}})
    assert loss_of(BEFORE, NOW, budget, "law").allowed == 0.3
    assert loss_of(BEFORE, NOW, budget, "medicine").allowed == 0.02


def test_the_margin_keeps_a_merge_away_from_the_edge() -> None:
    loss = loss_of(BEFORE, NOW, BudgetConfig(loss=0.4), "law")
    assert loss.within(0.5, anyway=0.0)
    assert not loss.within(1.0, anyway=0.0)
    assert loss.within(1.0, anyway=0.25), "what was lost before is not asked back"


def test_items_without_an_answer_are_no_way_to_keep_a_budget() -> None:
    budget = BudgetConfig(loss=0.9)
    assert not loss_of(BEFORE, {"a": 1.0, "c": 0.0}, budget, "law").within(0.0, anyway=0.0)
    lost = loss_of(BEFORE, {}, budget, "law")
    assert not lost.within(0.0, anyway=0.0)
    assert lost.excess == 1.0, "as good as over budget"
