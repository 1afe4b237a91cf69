from __future__ import annotations

import numpy as np
import pytest

from forgetless.metrics import Evidence, judge, mean_change

from .build import cell


def task(name: str, before: str, after: str) -> Evidence:
    return Evidence(name, "accuracy", cell(before), cell(after))


def test_every_task_has_the_same_weight_whatever_its_size() -> None:
    large, small = task("a", "1" * 300, "1" * 300), task("b", "1" * 50, "10" * 25)
    found = mean_change([large, small])
    assert found.value == -0.25
    assert found.interval is not None
    assert found.interval.low < -0.25 < found.interval.high


def test_of_one_task_it_is_the_tasks_own_change() -> None:
    only = task("a", "1101" * 20, "0111" * 10 + "1101" * 10)
    assert mean_change([only]) == judge([only], budget=0.0)[0].change


def test_grouped_items_make_it_less_sure() -> None:
    marks = "1" * 100, "1" * 80 + "0" * 20
    before, after = map(cell, marks)
    alone = Evidence("a", "accuracy", before, after)
    groups = {f"q{i}": str(i // 20) for i in range(100)}
    grouped = Evidence("a", "accuracy", before, after, groups=groups)
    found = [mean_change([e, task("b", "10" * 50, "10" * 50)]).interval for e in (alone, grouped)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[1].low < found[0].low


def test_log_likelihoods_are_left_out() -> None:
    rows = [list(-np.random.default_rng(i).random(30)) for i in (0, 1)]
    prose = Evidence("prose", "nats", cell(rows[0]), cell(rows[1]))
    only = task("a", "11", "10")
    assert mean_change([prose, only]) == mean_change([only])
    assert mean_change([prose]).value is None
    assert mean_change([prose]).reason == (
        "no task is scored as an accuracy; nats are not averaged"
    )


def test_a_task_without_answers_leaves_no_mean_of_the_others() -> None:
    found = mean_change([task("a", "11", "10"), task("b", "1x", "x1")])
    assert found.value is None
    assert found.reason is not None
    assert "'b'" in found.reason


@pytest.mark.parametrize("level", [0.5, 0.99])
def test_the_level_is_that_of_its_interval(level: float) -> None:
    found = mean_change([task("a", "1101", "1011")], level=level)
    assert found.interval is not None
    assert found.interval.level == level
