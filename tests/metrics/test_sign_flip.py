from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from forgetless.metrics import mcnemar, sign_flip
from forgetless.metrics.scores import FloatArray
from forgetless.metrics.sign_flip import group_sums


def by_enumeration(sums: FloatArray) -> float:
    totals = [abs(float(np.dot(signs, sums))) for signs in product((-1, 1), repeat=len(sums))]
    return float(np.mean(np.array(totals) >= abs(sums.sum()) - 1e-9))


@pytest.mark.parametrize(("lost", "gained"), [(8, 1), (1, 8), (5, 0), (3, 3), (40, 22)])
def test_of_single_right_or_wrong_items_it_is_mcnemars_test(lost: int, gained: int) -> None:
    sums = np.array([-1.0] * lost + [1.0] * gained + [0.0] * 20)
    assert sign_flip(sums) == pytest.approx(mcnemar(lost, gained))


@pytest.mark.parametrize(
    "sums",
    [[-3, -2, 1, -1, -4], [-3, 3, 2, 1], [-0.5, -0.25, -0.3, 0.1, -0.7, -0.2], [5, -1, 0, 2, 2, 1]],
)
def test_all_swaps_of_few_groups_are_counted(sums: list[float]) -> None:
    assert sign_flip(np.array(sums, float)) == pytest.approx(by_enumeration(np.array(sums, float)))


def test_many_whole_sums_are_exact_too() -> None:
    rng = np.random.default_rng(1)
    sums = rng.integers(-4, 4, 16).astype(float)
    assert sign_flip(sums) == pytest.approx(by_enumeration(sums))


def test_drawn_swaps_agree_with_all_of_them() -> None:
    sums = np.random.default_rng(2).normal(-0.3, 1, 15)
    assert sign_flip(sums, draws=40_000) == pytest.approx(by_enumeration(sums), abs=0.01)


def test_turning_before_and_after_round_changes_nothing() -> None:
    sums = np.random.default_rng(3).normal(-0.1, 1, 60)
    assert sign_flip(sums) == sign_flip(-sums)


def test_nothing_changed_is_no_evidence() -> None:
    assert sign_flip(np.zeros(50)) == 1.0


def test_five_groups_can_show_nothing_however_many_items_they_hold() -> None:
    assert sign_flip(np.full(5, -100.0)) == 2 / 2**5
    assert sign_flip(np.full(6, -100.0)) == 2 / 2**6


def test_a_drawn_p_value_is_never_nothing() -> None:
    sums = -1 - np.random.default_rng(4).random(100)
    assert sign_flip(sums, draws=999) == 1 / 1000


def test_sums_are_taken_group_by_group() -> None:
    changes = np.array([-1.0, 0.0, 1.0, -1.0])
    assert group_sums(changes, np.array([0, 1, 1, 0])).tolist() == [-2.0, 1.0]
    assert group_sums(changes, None).tolist() == changes.tolist()


def test_graded_changes_without_a_loss_are_significant_in_one_of_twenty() -> None:
    rng = np.random.default_rng(5)
    alarms = [sign_flip(rng.laplace(size=40), draws=399) <= 0.05 for _ in range(600)]
    assert 0.03 <= np.mean(alarms) <= 0.07
