from __future__ import annotations

import random
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgetless.metrics import (
    Cell,
    Formula,
    ScoreMatrix,
    ScoreStack,
    TaskColumn,
    average_accuracy,
    average_forgetting,
    average_retention_change,
    backward_transfer,
    best_earlier,
    forgetting,
    forward_transfer,
    interval,
    learned_score,
    learning_accuracy,
    retention_change,
)
from forgetless.metrics.scores import FloatArray

FIGURES: list[Formula] = [
    average_accuracy,
    learning_accuracy,
    backward_transfer,
    forward_transfer,
    average_forgetting,
    partial(average_forgetting, count_base=False),
    average_retention_change,
    partial(forgetting, task="task 1"),
    partial(forgetting, task="general"),
]

matrices = st.integers(2, 5).flatmap(
    lambda stages: st.integers(0, 2**32 - 1).map(
        lambda seed: np.random.default_rng(seed).random((stages + 1, stages + 1)).round(3)
    )
)
"""Values of runs of 2 to 5 tasks, one per stage, and one that is only tested."""


def names(values: FloatArray) -> tuple[list[str], list[TaskColumn]]:
    stages = values.shape[-2]
    tasks = [TaskColumn(f"task {i}", trained_in=i) for i in range(1, stages)]
    return [f"stage {i}" for i in range(stages)], [*tasks, TaskColumn("general")]


def matrix_of(values: FloatArray) -> ScoreMatrix:
    return ScoreMatrix.from_values(*names(values), values.tolist())


@given(matrices)
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("figure", FIGURES)
def test_figure_of_a_stack_is_the_figure_of_each_matrix(
    figure: Formula, values: FloatArray
) -> None:
    stack = np.stack([values, 1 - values, values[::-1]])
    found = figure(ScoreStack(*names(values), stack))
    np.testing.assert_allclose(found, [figure(matrix_of(one)) for one in stack], atol=1e-12)


@given(matrices)
@settings(max_examples=40, deadline=None)
def test_accuracies_and_transfer_add_up(values: FloatArray) -> None:
    run = matrix_of(values)
    tasks = len(run.trained())
    assert average_accuracy(run) - learning_accuracy(run) == pytest.approx(
        backward_transfer(run) * (tasks - 1) / tasks
    )


@given(matrices)
@settings(max_examples=40, deadline=None)
def test_forgetting_is_at_least_what_backward_transfer_says(values: FloatArray) -> None:
    run = matrix_of(values)
    for count_base in (True, False):
        assert average_forgetting(run, count_base=count_base) >= -backward_transfer(run) - 1e-12


@given(matrices)
@settings(max_examples=40, deadline=None)
def test_forgetting_is_minus_backward_transfer_if_learning_was_best(values: FloatArray) -> None:
    for task in range(len(values) - 1):
        values[task + 1, task] = 1.0
    run = matrix_of(values)
    assert all(best_earlier(run, t.name) == learned_score(run, t.name) for t in run.trained()[:-1])
    assert average_forgetting(run) == pytest.approx(-backward_transfer(run))


@given(matrices)
@settings(max_examples=40, deadline=None)
def test_final_row_above_all_others_is_negative_forgetting_everywhere(values: FloatArray) -> None:
    values = values * 0.9
    values[-1] = 0.95
    run = matrix_of(values)
    for task in [*run.trained()[:-1], *run.only_tested()]:
        assert forgetting(run, task.name) < 0
        assert retention_change(run, task.name) > 0
    assert average_forgetting(run) < 0


@given(matrices, st.floats(-0.2, 0.2))
@settings(max_examples=40, deadline=None)
def test_differences_do_not_see_a_constant_added_to_all_scores(
    values: FloatArray, constant: float
) -> None:
    inner = 0.3 + 0.4 * values
    for figure in FIGURES[2:]:
        assert figure(matrix_of(inner + constant)) == pytest.approx(figure(matrix_of(inner)))


@given(st.randoms(use_true_random=False), st.integers(2, 30))
@settings(max_examples=30, deadline=None)
def test_order_of_the_items_changes_neither_figures_nor_intervals(
    chance: random.Random, count: int
) -> None:
    columns = [TaskColumn("law", trained_in=1), TaskColumn("tax", trained_in=2)]
    scores = {
        (row, task.name): {f"q{i}": float(chance.random() < 0.6) for i in range(count)}
        for row in range(3)
        for task in columns
    }
    shuffled = {at: chance.sample(sorted(items), count) for at, items in scores.items()}
    one = ScoreMatrix(["a", "b", "c"], columns, {at: Cell(s) for at, s in scores.items()})
    other = ScoreMatrix(
        ["a", "b", "c"],
        columns,
        {at: Cell({item: scores[at][item] for item in order}) for at, order in shuffled.items()},
    )
    for figure in (average_accuracy, backward_transfer, average_forgetting):
        assert figure(one) == pytest.approx(figure(other))
        left, right = interval(figure, one, draws=50), interval(figure, other, draws=50)
        assert (left.low, left.high) == pytest.approx((right.low, right.high))
        assert left.method == right.method
