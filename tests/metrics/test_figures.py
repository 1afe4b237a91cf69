from __future__ import annotations

import pytest

from forgetless.errors import NotMeasured
from forgetless.metrics import (
    average_accuracy,
    backward_transfer,
    forward_transfer,
    learned_score,
    learning_accuracy,
)

from .build import by_hand

RUN = by_hand(
    law=(1, [0.20, 0.80, 0.70, 0.50]),
    tax=(2, [0.30, 0.40, 0.90, 0.60]),
    art=(3, [0.10, 0.15, 0.05, 0.70]),
    general=(None, [0.95, 0.90, 0.85, 0.75]),
)


def test_average_accuracy_is_the_mean_of_the_last_row_over_trained_tasks() -> None:
    assert average_accuracy(RUN) == pytest.approx((0.50 + 0.60 + 0.70) / 3)


def test_learning_accuracy_is_the_mean_right_after_each_stage() -> None:
    assert learning_accuracy(RUN) == pytest.approx((0.80 + 0.90 + 0.70) / 3)


def test_backward_transfer_leaves_out_the_task_trained_last() -> None:
    assert backward_transfer(RUN) == pytest.approx(((0.50 - 0.80) + (0.60 - 0.90)) / 2)


def test_forward_transfer_starts_from_the_untouched_model() -> None:
    assert forward_transfer(RUN) == pytest.approx(((0.40 - 0.30) + (0.05 - 0.10)) / 2)


def test_order_of_columns_is_not_the_order_of_training() -> None:
    run = by_hand(
        art=(3, [0.10, 0.15, 0.05, 0.70]),
        law=(1, [0.20, 0.80, 0.70, 0.50]),
        tax=(2, [0.30, 0.40, 0.90, 0.60]),
    )
    for figure in (average_accuracy, learning_accuracy, backward_transfer, forward_transfer):
        assert figure(run) == pytest.approx(figure(RUN))


def test_joint_run_has_averages_but_no_transfer() -> None:
    joint = by_hand(law=(1, [0.2, 0.8]), tax=(1, [0.3, 0.6]))
    assert average_accuracy(joint) == learning_accuracy(joint) == pytest.approx(0.7)
    with pytest.raises(NotMeasured, match="all tasks are trained in the last stage"):
        backward_transfer(joint)
    with pytest.raises(NotMeasured, match="needs a task trained after stage 1"):
        forward_transfer(joint)


def test_one_task_alone_has_no_backward_transfer() -> None:
    with pytest.raises(NotMeasured, match="all tasks are trained in the last stage"):
        backward_transfer(by_hand(law=(1, [0.2, 0.8])))


def test_tasks_in_nats_are_never_averaged_with_accuracies() -> None:
    run = by_hand(unit="nats", law=(1, [-3.0, -1.0, -2.0]))
    for figure in (average_accuracy, learning_accuracy, backward_transfer, forward_transfer):
        with pytest.raises(NotMeasured, match="nats are not averaged"):
            figure(run)


def test_figure_needs_only_the_cells_in_its_formula() -> None:
    run = by_hand(law=(1, [None, 0.8, 0.5]), tax=(2, [0.3, 0.4, 0.9]))
    assert backward_transfer(run) == pytest.approx(-0.3)
    assert forward_transfer(run) == pytest.approx(0.1)


def test_missing_cell_makes_the_figure_absent_and_says_which() -> None:
    run = by_hand(law=(1, [0.2, 0.8, None]), tax=(2, [0.3, 0.4, 0.9]))
    with pytest.raises(NotMeasured, match="task 'law' after stage 2"):
        average_accuracy(run)


def test_task_that_is_only_tested_has_no_learned_score() -> None:
    assert learned_score(RUN, "law") == 0.80
    with pytest.raises(NotMeasured, match="'general' is only tested"):
        learned_score(RUN, "general")
