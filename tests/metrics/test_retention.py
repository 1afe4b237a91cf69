from __future__ import annotations

import pytest

from forgetless.errors import NotMeasured
from forgetless.metrics import (
    average_forgetting,
    average_retention_change,
    backward_transfer,
    best_earlier,
    forgetting,
    retention_change,
)

from .build import by_hand


def test_columns_of_the_public_bug_forget_minus_15_and_minus_5_points() -> None:
    """One implementation pads with zeros and counts the last row, and says 0 for both columns."""
    run = by_hand(law=(1, [0.30, 0.50, 0.55, 0.70]), tax=(2, [0.20, None, 0.60, 0.65]))
    assert forgetting(run, "law") == pytest.approx(-0.15)
    assert forgetting(run, "tax") == pytest.approx(-0.05)


def test_forgetting_falls_from_the_best_earlier_row_not_from_the_learning_row() -> None:
    run = by_hand(law=(1, [0.1, 0.5, 0.8, 0.4]), tax=(3, [0.1, 0.1, 0.1, 0.9]))
    assert forgetting(run, "law") == pytest.approx(0.8 - 0.4)
    assert backward_transfer(run) == pytest.approx(0.4 - 0.5)


def test_untouched_model_counts_as_an_earlier_row_unless_told_otherwise() -> None:
    run = by_hand(law=(1, [0.9, 0.6, 0.5]))
    assert forgetting(run, "law") == pytest.approx(0.4)
    assert forgetting(run, "law", count_base=False) == pytest.approx(0.1)
    assert best_earlier(run, "law") == 0.9
    assert best_earlier(run, "law", count_base=False) == 0.6


def test_rows_before_the_learning_row_count_where_they_were_measured() -> None:
    run = by_hand(tax=(2, [0.1, 0.7, 0.6, 0.5]))
    assert forgetting(run, "tax", count_base=False) == pytest.approx(0.2)


def test_row_after_the_learning_row_may_not_be_missing() -> None:
    run = by_hand(law=(1, [0.1, 0.7, None, 0.5]))
    with pytest.raises(NotMeasured, match="after stage 2"):
        forgetting(run, "law")


def test_untouched_model_may_be_missing_only_where_it_does_not_count() -> None:
    run = by_hand(law=(1, [None, 0.7, 0.5]))
    assert forgetting(run, "law", count_base=False) == pytest.approx(0.2)
    with pytest.raises(NotMeasured, match="after stage 0"):
        forgetting(run, "law")


def test_only_tested_task_forgets_from_row_0_whatever_the_option() -> None:
    run = by_hand(general=(None, [0.9, 0.6, 0.5]))
    assert forgetting(run, "general") == pytest.approx(0.4)
    assert forgetting(run, "general", count_base=False) == pytest.approx(0.4)


def test_only_tested_task_needs_every_row() -> None:
    with pytest.raises(NotMeasured, match="after stage 1"):
        forgetting(by_hand(general=(None, [0.9, None, 0.5])), "general")


def test_task_trained_last_cannot_have_been_forgotten() -> None:
    with pytest.raises(NotMeasured, match="'tax' is trained in the last stage"):
        forgetting(by_hand(tax=(2, [0.1, 0.2, 0.9])), "tax")


def test_average_forgetting_leaves_out_the_last_task_and_the_tested_ones() -> None:
    run = by_hand(
        law=(1, [0.1, 0.8, 0.7, 0.5]),
        tax=(2, [0.1, 0.2, 0.6, 0.7]),
        art=(3, [0.9, 0.1, 0.1, 0.2]),
        general=(None, [1.0, 1.0, 1.0, 0.0]),
    )
    assert average_forgetting(run) == pytest.approx((0.3 - 0.1) / 2)


def test_average_forgetting_hands_the_option_on() -> None:
    run = by_hand(law=(1, [0.9, 0.6, 0.5]), tax=(2, [0.0, 0.0, 0.5]))
    assert average_forgetting(run) == pytest.approx(0.4)
    assert average_forgetting(run, count_base=False) == pytest.approx(0.1)


def test_nats_are_forgotten_task_by_task_only() -> None:
    run = by_hand(unit="nats", law=(1, [-3.0, -1.0, -2.5]))
    assert forgetting(run, "law") == pytest.approx(1.5)
    assert retention_change(run, "law") == pytest.approx(0.5)
    with pytest.raises(NotMeasured, match="nats are not averaged"):
        average_forgetting(run)


def test_retention_change_is_negative_for_a_loss() -> None:
    run = by_hand(
        law=(1, [0.0, 0.9, 0.9]), general=(None, [0.9, 0.2, 0.7]), maths=(None, [0.5, 0.5, 0.6])
    )
    assert retention_change(run, "general") == pytest.approx(-0.2)
    assert average_retention_change(run) == pytest.approx((-0.2 + 0.1) / 2)


def test_run_without_tested_tasks_has_no_average_retention_change() -> None:
    with pytest.raises(NotMeasured, match="no task is only tested"):
        average_retention_change(by_hand(law=(1, [0.0, 0.9])))


def test_untouched_model_alone_has_nothing_to_compare() -> None:
    run = by_hand(general=(None, [0.9]))
    for ask in (forgetting, best_earlier, retention_change):
        with pytest.raises(NotMeasured, match="only the untouched model"):
            ask(run, "general")
