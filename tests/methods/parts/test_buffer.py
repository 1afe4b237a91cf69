"""What of a buffer ``test_replay`` does not show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forgetless.methods.parts.buffer import Buffer, held_back_hash, is_tested
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.task import exchange_hash
from tests.training.build import colour_task, exchange, one_stage_a_task

STAGES = one_stage_a_task([colour_task("a", count=8), colour_task("b", 20, count=8)])


def filled(policy: str = "reservoir") -> Buffer:
    buffer = Buffer(policy, 6)  # type: ignore[arg-type]
    for stage in STAGES:
        buffer.add(stage, np.random.default_rng(1))
    return buffer


def test_rows_of_one_task_are_replaced_where_they_stand() -> None:
    buffer = filled()
    before = buffer.values()["kept"]
    count = buffer.count("b")
    assert 0 < count < 6
    buffer.replace("b", [100 + k for k in range(count)])
    after = buffer.values()["kept"]
    assert [kept for kept in after if kept[0] == "a"] == [kept for kept in before if kept[0] == "a"]
    assert [name for name, _ in after] == [name for name, _ in before]
    assert [index for name, index in after if name == "b"] == [100 + k for k in range(count)]
    assert buffer.values()["seen"] == 16


def test_balanced_buffer_that_shrinks_keeps_the_first_rows_of_each_task() -> None:
    buffer = Buffer("balanced", 6)
    buffer.add(STAGES[0], np.random.default_rng(1))
    buffer.replace("a", [50, 40, 30, 20, 10, 0])
    buffer.add(STAGES[1], np.random.default_rng(1))
    assert [index for name, index in buffer.values()["kept"] if name == "a"] == [50, 40, 30]


@pytest.mark.parametrize("policy", ["reservoir", "balanced"])
def test_places_are_for_rows_that_may_be_rehearsed(policy: str) -> None:
    first, second = one_stage_a_task([colour_task("a", count=40), colour_task("b", 41)])
    tested = frozenset(exchange_hash(row) for row in first.tasks[0].train[:33])
    buffer = Buffer(policy, 6)  # type: ignore[arg-type]
    buffer.add(replace(first, held_back=tested), np.random.default_rng(1))
    assert len(buffer.rows(replace(second, held_back=tested))) == 6


def test_row_is_tested_if_any_exchange_in_it_is() -> None:
    stage = one_stage_a_task([colour_task("a")])[0]
    stage = replace(stage, held_back=frozenset([exchange_hash(exchange("t", "What?", "this"))]))
    assert is_tested(exchange("x", "what? ", "THIS"), stage)
    assert not is_tested(exchange("x", "What?", "that"), stage)
    turns = (Turn("user", "What?"), Turn("assistant", "this"), Turn("user", "And?"))
    assert is_tested(Row("x", turns, "no"), stage)


def test_row_without_text_is_not_looked_at_where_nothing_is_held_back() -> None:
    stage = replace(one_stage_a_task([colour_task("a")])[0], held_back=frozenset())
    assert not is_tested(object(), stage)  # type: ignore[arg-type]


def test_hash_of_what_is_held_back_depends_on_all_of_it_and_not_on_its_order() -> None:
    stage = one_stage_a_task([colour_task("a")])[0]
    ordered = sorted(stage.held_back)
    again = replace(stage, held_back=frozenset(ordered[::-1]))
    assert held_back_hash(stage) == held_back_hash(again)
    for left_out in ordered:
        fewer = replace(stage, held_back=stage.held_back - {left_out})
        assert held_back_hash(fewer) != held_back_hash(stage)
