from __future__ import annotations

import numpy as np
import pytest

from forgetless.errors import NotMeasured
from forgetless.metrics import ScoreStack, average_intransigence, gap_closed, intransigence

from .build import by_hand

SEQUENTIAL = by_hand(law=(1, [0.1, 0.8, 0.4]), tax=(2, [0.1, 0.2, 0.6]))
METHOD = by_hand(law=(1, [0.1, 0.7, 0.7]), tax=(2, [0.1, 0.2, 0.5]))
JOINT = by_hand(law=(1, [0.1, 0.9]), tax=(1, [0.1, 0.7]))


def test_intransigence_is_what_joint_training_learns_and_the_method_does_not() -> None:
    assert intransigence(METHOD, JOINT, "law") == pytest.approx(0.9 - 0.7)
    assert intransigence(METHOD, JOINT, "tax") == pytest.approx(0.7 - 0.5)
    assert average_intransigence(SEQUENTIAL, JOINT) == pytest.approx((0.1 + 0.1) / 2)


def test_cumulative_joint_run_is_read_at_the_row_that_first_includes_the_task() -> None:
    cumulative = by_hand(law=(1, [0.1, 0.95, 0.90]), tax=(2, [0.1, 0.2, 0.75]))
    assert intransigence(METHOD, cumulative, "law") == pytest.approx(0.95 - 0.7)
    assert intransigence(METHOD, cumulative, "tax") == pytest.approx(0.75 - 0.5)


def test_learning_better_than_joint_training_is_negative_intransigence() -> None:
    joint = by_hand(law=(1, [0.1, 0.6]), tax=(1, [0.1, 0.5]))
    assert intransigence(METHOD, joint, "law") == pytest.approx(-0.1)


def test_intransigence_needs_the_task_in_the_joint_run() -> None:
    with pytest.raises(NotMeasured, match="'tax' is not in the joint run"):
        average_intransigence(METHOD, by_hand(law=(1, [0.1, 0.9])))
    with pytest.raises(NotMeasured, match="'law' is only tested"):
        intransigence(METHOD, by_hand(law=(None, [0.1, 0.9])), "law")


def test_gap_closed_is_the_share_of_the_way_to_joint_training() -> None:
    # Final averages: sequential .5, method .6, joint .8.
    assert gap_closed(METHOD, SEQUENTIAL, JOINT) == pytest.approx(0.1 / 0.3)
    assert gap_closed(SEQUENTIAL, SEQUENTIAL, JOINT) == 0.0
    assert gap_closed(JOINT, SEQUENTIAL, JOINT) == 1.0


def test_gap_that_is_not_there_cannot_be_closed() -> None:
    with pytest.raises(NotMeasured, match=r"joint training ends at 0\.500, .* at 0\.800"):
        gap_closed(METHOD, JOINT, SEQUENTIAL)
    with pytest.raises(NotMeasured, match="no gap"):
        gap_closed(METHOD, METHOD, METHOD)


def test_gap_is_closed_over_the_same_tasks_only() -> None:
    with pytest.raises(ValueError, match="the joint run trains law, the method law, tax"):
        gap_closed(METHOD, SEQUENTIAL, by_hand(law=(1, [0.1, 0.9])))
    with pytest.raises(ValueError, match="the sequential run trains law, the method law, tax"):
        gap_closed(METHOD, by_hand(law=(1, [0.1, 0.9])), JOINT)


def test_draws_without_a_gap_have_no_figure_and_the_others_keep_theirs() -> None:
    def stack(*finals: float) -> ScoreStack:
        values = np.array([[[0.1], [final]] for final in finals])
        return ScoreStack(["base", "law"], by_hand(law=(1, [0.1, 0.5])).tasks, values)

    closed = gap_closed(stack(0.6, 0.6), stack(0.5, 0.7), stack(0.7, 0.7))
    np.testing.assert_allclose(closed, [0.5, np.nan])
