from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetless.methods.parts.selection import by_row, herded, surprising_first

shares = st.floats(0.01, 1)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(losses=st.lists(st.floats(0, 20), max_size=40), share=shares, seed=st.integers(0, 99))
def test_every_row_is_in_the_order_once(losses: list[float], share: float, seed: int) -> None:
    order = surprising_first(np.array(losses), share, rng(seed))
    assert sorted(order) == list(range(len(losses)))


@given(share=shares, seed=st.integers(0, 99))
def test_every_beginning_holds_the_share_of_random_rows_rounded_up(share: float, seed: int) -> None:
    """The rows that are not random are the most surprising ones, from the top."""
    losses = rng(seed + 1).permutation(50).astype(float)
    order = surprising_first(losses, share, rng(seed))
    drawn = rng(seed).permutation(50).tolist()
    for count in range(1, 51):
        at_random = min(count, math.ceil(round(count * share, 9)))
        taken = set(order[:count])
        assert taken >= set(drawn[: at_random - 1])  # one may have come as surprising before
        surprising = sum(losses[row] >= 50 - (count - at_random) for row in taken)
        assert surprising >= count - at_random


def test_half_random_by_hand() -> None:
    losses = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    drawn = rng().permutation(6).tolist()
    assert drawn == [3, 2, 5, 4, 0, 1]
    assert surprising_first(losses, 0.5, rng()) == [3, 5, 2, 4, 0, 1]


def test_all_random_is_the_random_order() -> None:
    losses = np.arange(30.0)
    assert surprising_first(losses, 1.0, rng(5)) == rng(5).permutation(30).tolist()


def test_first_row_is_random_however_small_the_share() -> None:
    losses = np.arange(30.0)
    order = surprising_first(losses, 0.01, rng(5))
    assert order[0] == rng(5).permutation(30)[0]
    assert order[1:4] == [29, 28, 27]


def test_equal_losses_keep_the_order_of_the_rows() -> None:
    order = surprising_first(np.ones(20), 0.01, rng(1))
    assert order[1:] == [row for row in range(20) if row != order[0]]


def brute(units: np.ndarray, count: int) -> list[int]:
    """Algorithm 4 as it is written, without repeats."""
    chosen: list[int] = []
    for k in range(1, count + 1):
        distances = {
            x: float(np.linalg.norm(units.mean(0) - units[[*chosen, x]].sum(0) / k))
            for x in range(len(units))
            if x not in chosen
        }
        chosen.append(min(distances, key=lambda x: distances[x]))
    return chosen


def test_herding_is_the_papers_algorithm() -> None:
    vectors = rng().normal(size=(30, 5)) + 1
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert herded(vectors, 30) == brute(units, 30)


def test_herded_rows_have_the_mean_of_all_far_sooner_than_random_ones() -> None:
    vectors = rng().normal(size=(200, 8))
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def off(rows: list[int]) -> float:
        return float(np.linalg.norm(units[rows].mean(0) - units.mean(0)))

    by_chance = np.mean([off(rng(s).permutation(200)[:20].tolist()) for s in range(50)])
    assert off(herded(vectors, 20)) < 0.2 * by_chance


def test_herding_goes_by_direction_and_not_by_length() -> None:
    vectors = rng().normal(size=(20, 4))
    lengths = rng(1).uniform(0.1, 100, size=(20, 1))
    assert herded(vectors * lengths, 7) == herded(vectors, 7)
    assert len(herded(np.zeros((3, 4)), 2)) == 2  # no direction at all


def test_herding_covers_two_groups_and_leaves_the_outlier_for_last() -> None:
    groups = [[1, 0, 0.01 * k] for k in range(10)] + [[0, 1, 0.01 * k] for k in range(10)]
    chosen = herded(np.array([*groups, [-1.0, -1.0, 0.0]]), 21)
    assert sorted(row // 10 for row in chosen[:6]) == [0, 0, 0, 1, 1, 1]
    assert 20 not in chosen[:6]


@pytest.mark.parametrize("count", [0, 1, 5, 9])
def test_herding_takes_as_many_as_asked_but_none_twice(count: int) -> None:
    vectors = np.ones((5, 3))
    assert sorted(herded(vectors, count)) == list(range(min(count, 5)))


def test_mean_of_a_row_is_over_its_own_examples() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0])
    assert by_row(values, [1, 2, 1]).tolist() == [1.0, 3.0, 9.0]
    vectors = np.array([[1.0, 0.0], [2.0, 2.0], [4.0, 0.0], [9.0, 9.0]])
    assert by_row(vectors, [1, 2, 1]).tolist() == [[1, 0], [3, 1], [9, 9]]
