"""A task at floor is always called so, and one that was clearly known never is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from forgetless.metrics.floor import (
    Floor,
    chance_of_choosing,
    find_floor,
    floor_of_parts,
    mean_chance,
)
from forgetless.metrics.scores import IntArray


def floor(
    right: int, items: int, chance: float | None, number: IntArray | None = None
) -> Floor | None:
    before = (np.arange(items) < right).astype(float)
    return find_floor(before, chance, number, budget=0.02, level=0.95)


@pytest.mark.parametrize(
    ("right", "items", "chance", "found"),
    [
        (25, 100, 0.25, "guessing"),
        (10, 100, 0.25, "guessing"),  # worse than guessing
        (40, 100, 0.25, "guessing"),  # guessing does so in one of 1,500 tasks
        (45, 100, 0.25, None),  # and this in one of 100,000
        (0, 100, None, "few right"),
        (5, 300, None, "few right"),  # to lose five of five is not significant
        (6, 300, None, "little to lose"),  # to lose six is, but these are just two points
        (7, 300, None, None),
        (2700, 10_000, 0.25, "little to lose"),  # surely above chance, by no more than two points
        (2780, 10_000, 0.25, None),
    ],
)
def test_what_a_task_has_to_lose(
    right: int, items: int, chance: float | None, found: Floor | None
) -> None:
    assert floor(right, items, chance) == found


def test_guessing_is_told_by_the_binomial_tail() -> None:
    assert binom.sf(39, 100, 0.25) > 1e-4 > binom.sf(44, 100, 0.25)


@pytest.mark.parametrize("chance", [None, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("items", [6, 8, 12, 30, 300])
def test_all_right_is_never_at_floor_once_its_loss_would_be_significant(
    items: int, chance: float | None
) -> None:
    assert floor(items, items, chance) is None
    if items // 2 >= 6:  # fewer groups show no loss at all
        assert floor(items, items, chance, np.arange(items) // 2) is None


def test_guesses_are_at_floor_in_every_one_of_3000_tasks() -> None:
    rng = np.random.default_rng(0)
    for _ in range(3000):
        items, chance = int(rng.integers(30, 1000)), float(rng.choice([0.1, 0.25, 0.5]))
        assert floor(rng.binomial(items, chance), items, chance) == "guessing"


def test_guesses_that_agree_within_groups_are_at_floor_too() -> None:
    rng = np.random.default_rng(1)
    number = np.arange(200) // 10
    found, alone = [], []
    for _ in range(1000):
        before = (rng.random(20) < 0.25)[number].astype(float)
        found.append(find_floor(before, 0.25, number, budget=0.02, level=0.95))
        alone.append(find_floor(before, 0.25, None, budget=0.02, level=0.95))
    assert found.count("guessing") >= 999
    assert alone.count("guessing") <= 900  # taken for independent, many pass for knowing


def test_chance_may_differ_by_item() -> None:
    assert mean_chance({"a": 0.5, "b": 0.25, "c": 0.1}, ["a", "b"]) == 0.375
    assert mean_chance(0.25, ["a"]) == 0.25
    assert mean_chance(None, ["a"]) is None


def test_an_item_without_a_chance_is_refused() -> None:
    with pytest.raises(ValueError, match="item 'b' has no chance"):
        mean_chance({"a": 0.5}, ["a", "b"])
    with pytest.raises(ValueError, match="needed shares from 0 to below 1"):
        mean_chance(25.0, ["a"])


def parts(*right: int, items: int = 64) -> Floor | None:
    """Levels of so many items with so many right, chance a quarter."""
    levels = [((np.arange(items) < few).astype(float), 0.25, None) for few in right]
    return floor_of_parts(levels, budget=0.02)


def test_a_level_that_is_known_leaves_a_task_something_to_lose_whatever_the_others_are() -> None:
    assert parts(49, 16, 9, 6, 20) is None  # .31 on the whole, where 40 of 64 alone is no luck
    assert floor(49 + 16 + 9 + 6 + 20, 320, 0.25) == "guessing"


def test_what_the_known_levels_stand_above_chance_is_what_can_be_lost() -> None:
    # 40 of 64 is three eighths above chance; in one of 20 levels, that is 1.9 points of the task
    assert parts(40, *[16] * 19) == "little to lose"
    assert parts(40, *[16] * 9) is None


def test_guesses_are_at_floor_in_every_one_of_3000_graded_tasks() -> None:
    rng = np.random.default_rng(2)
    for _ in range(3000):
        assert parts(*rng.binomial(64, 0.25, size=5)) == "guessing"


def test_guessing_is_right_once_in_as_many_times_as_there_are_choices() -> None:
    assert chance_of_choosing({"a": ("x", "y"), "b": "ABCD"}) == {"a": 0.5, "b": 0.25}


@pytest.mark.parametrize("unknown", [None, (), ("x",)])
def test_one_item_without_choices_to_guess_from_leaves_the_task_without_chance(
    unknown: tuple[str, ...] | None,
) -> None:
    assert chance_of_choosing({"a": ("x", "y"), "b": unknown}) == {}
