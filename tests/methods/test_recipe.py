"""What ``methods: auto`` stands for."""

from __future__ import annotations

from typing import Any

import pytest

from forgetless.errors import PlanError
from forgetless.methods.recipe import resolved_methods
from forgetless.plan import Plan, make_plan


def plan(**changes: Any) -> Plan:
    return make_plan({"model": "m", "sequence": ["a.jsonl", "b.jsonl"]} | changes)


def names(made: Plan) -> list[str]:
    return [spec.name for spec in resolved_methods(made)]


def test_a_plan_that_names_no_method_gets_what_is_recommended() -> None:
    assert names(plan()) == names(plan(methods="auto")) == names(plan(methods=["auto"]))
    assert names(plan()) == ["replay", "ewc"]


def test_an_empty_list_is_plain_training() -> None:
    assert names(plan(methods=[])) == []


def test_without_old_rows_the_model_writes_its_own() -> None:
    assert names(plan(sequence=["a.jsonl"])) == ["self_replay"]


def test_a_budget_on_what_no_row_speaks_of_takes_both_kinds_of_rows() -> None:
    assert names(plan(budget="2%", test_only=["t.jsonl"])) == ["replay", "self_replay", "ewc"]
    assert names(plan(budget="2%")) == ["replay", "ewc"]


@pytest.mark.parametrize(
    "changes", [{}, {"sequence": ["a.jsonl"]}, {"budget": "2%", "test_only": ["t.jsonl"]}]
)
def test_at_most_1_15_times_the_tokens_are_trained_on(changes: dict[str, Any]) -> None:
    share = sum(spec.options.get("ratio", 0.0) for spec in resolved_methods(plan(**changes)))
    assert 1 / (1 - share) <= 1.1495


def test_auto_stands_alone() -> None:
    with pytest.raises(PlanError, match="auto stands for all of them"):
        names(plan(methods=["auto", "lora"]))
