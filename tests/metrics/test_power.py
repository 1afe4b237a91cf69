"""How many items would decide, and how small a loss so many items show."""

from __future__ import annotations

import math

import numpy as np
import pytest

from forgetless.metrics import (
    Figure,
    Interval,
    IntervalMethod,
    detectable_loss,
    hidden_loss,
    items_needed,
    mcnemar,
)


def figure(
    value: float, low: float, high: float, method: IntervalMethod = "percentile bootstrap"
) -> Figure:
    return Figure(value, Interval(low, high, 0.95, method), None)


@pytest.mark.parametrize(
    ("loss", "items"),
    [
        (figure(0.0, -0.1, 0.1), 400),  # half as wide to get under 0.05: four times as many
        (figure(0.1, -0.1, 0.3), 400),  # half as wide to get above 0: four times as many
        (figure(0.04, -0.02, 0.1), 230),  # 100 * 1.5^2 is cheaper than 100 * 6^2
        (figure(-0.01, -0.4, 0.23), 1600),  # a fall is not needed to decide that nothing fell
        (figure(0.05, -0.05, 0.15), 400),  # on the margin: only the other side can decide
    ],
)
def test_items_needed_shrink_the_interval_by_their_root(loss: Figure, items: int) -> None:
    assert items_needed(loss, 0.05, 100) == items


def test_no_number_of_items_is_guessed_without_an_interval() -> None:
    assert items_needed(Figure(0.1, None, "no items"), 0.05, 100) is None


@pytest.mark.parametrize(
    ("items", "groups", "needed"),
    [
        (40, 40, 72),
        (1, 1, 72),
        (40, 20, 150),  # 144: each two of them say no more than one
    ],
)
def test_items_on_which_nothing_changed_are_needed_until_their_limit_is_within_the_margin(
    items: int, groups: int, needed: int
) -> None:
    # 1 - 0.025^(1/n) <= 0.05 from n = 72 on.
    assert 1 - 0.025 ** (1 / 72) <= 0.05 < 1 - 0.025 ** (1 / 71)
    limit = hidden_loss(groups)
    exact = figure(0.0, -limit, limit, "exact")
    assert items_needed(exact, 0.05, items) == needed
    drawn = figure(0.0, -limit, limit, "bootstrap with an unseen item")
    assert items_needed(drawn, 0.05, items, unchanged=True) == needed


def test_what_is_lost_all_but_for_certain_is_a_limit_like_another() -> None:
    assert items_needed(figure(0.0, -1.0, 1.0, "exact"), 0.05, 1) == 410  # log 1e-9 / log 0.95


def test_a_test_that_must_be_twice_as_strong_takes_four_times_the_items() -> None:
    assert items_needed(figure(0.1, 0.02, 0.18), 0.05, 100, strengthen=2.0) == 400


def test_a_loss_that_equals_the_margin_is_never_decided_by_its_upper_limit() -> None:
    loss = figure(0.1 * 3 - 0.25, 0.01, 0.09)  # 0.04999999999999999
    assert items_needed(loss, 0.05, 100, strengthen=math.inf) is None


def test_nothing_lost_and_nothing_allowed_is_never_decided() -> None:
    assert items_needed(figure(0.0, -0.1, 0.1), 0.0, 100) is None


def test_detectable_loss_solves_the_equation_of_its_sample_size() -> None:
    loss = detectable_loss(500, 0.1)
    assert loss is not None
    # Connor's sample size for that loss is 500 again.
    items = (1.959964 * math.sqrt(0.1) + 0.841621 * math.sqrt(0.1 - loss**2)) ** 2 / loss**2
    assert items == pytest.approx(500, abs=0.01)


def test_detectable_loss_is_found_in_four_of_five_samples() -> None:
    loss = detectable_loss(400, 0.15)
    assert loss is not None
    rng = np.random.default_rng(0)
    shares = [(0.15 + loss) / 2, (0.15 - loss) / 2, 0.85]
    found = [
        mcnemar(lost, gained) <= 0.05 for lost, gained, _ in rng.multinomial(400, shares, 1000)
    ]
    assert 0.75 <= np.mean(found) <= 0.84


def test_where_nothing_flipped_a_loss_brings_its_own_flips() -> None:
    loss = detectable_loss(500, 0.0)
    assert loss is not None
    # s = d: sqrt(d) = (z_a + z_b sqrt(1 - d)) / sqrt(n)
    root = (1.959964 + 0.841621 * math.sqrt(1 - loss)) / math.sqrt(500)
    assert math.sqrt(loss) == pytest.approx(root, abs=1e-6)


def test_more_tests_more_flips_and_fewer_items_need_a_larger_loss() -> None:
    usual = detectable_loss(500, 0.1)
    assert usual is not None
    for harder in (
        detectable_loss(500, 0.1, tests=10),
        detectable_loss(500, 0.2),
        detectable_loss(250, 0.1),
        detectable_loss(500, 0.1, budget=0.05),
        detectable_loss(500, 0.1, power=0.9),
    ):
        assert harder is not None
        assert harder > usual


def test_budget_must_be_exceeded_as_measured_in_four_of_five_samples() -> None:
    loss = detectable_loss(500, 0.1, budget=0.1)
    assert loss is not None
    variance = max(0.1, loss) - loss**2
    assert loss == pytest.approx(0.1 + 0.841621 * math.sqrt(variance / 500), abs=1e-6)


def test_groups_of_k_that_move_together_show_what_n_over_k_items_show() -> None:
    grouped = detectable_loss(1000, 5 * 0.1, cluster=5.0)
    assert grouped == pytest.approx(detectable_loss(200, 0.1))


def test_too_few_items_show_no_loss_at_all() -> None:
    assert detectable_loss(3, 0.0) is None


def test_log_likelihoods_have_no_largest_loss() -> None:
    found = detectable_loss(4, 25.0, bounded=False)
    assert found == pytest.approx((1.959964 + 0.841621) * 2.5, abs=1e-4)
