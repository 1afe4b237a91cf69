"""The search finds the best point within the budget, and never calls a rollback a repair."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from forgetless.progress import Progress
from forgetless.repairing.points import BASE, TUNED, Point
from forgetless.repairing.search import Found, search

Curve = Callable[[float], float]


def found(old: Curve, new: Curve, budget: float = 0.05, *, adapter: bool = True) -> Found:
    def ask(point: Point, _: float) -> dict[str, float]:
        alpha = point.alpha if point.how == "linear" else 0.5
        return {"old": old(alpha), "new": new(alpha)}

    return search(ask, {"old": budget, "new": budget}, adapter=adapter)


def test_it_goes_as_far_as_the_budget_allows() -> None:
    result = found(lambda a: 1 - a**3, lambda a: a)  # .3 cubed is .027, .4 cubed .064
    assert (result.learned, result.lost) == (("new",), ("old",))
    assert result.best().over == 0
    assert result.best().point.alpha == pytest.approx(1 / 3, abs=0.04)


def test_what_was_learned_counts_as_a_share_of_what_tuning_gained() -> None:
    result = found(lambda a: 1 - a, lambda a: 0.2 + 0.6 * a, budget=0.3)
    best = result.best()
    assert best.learned == pytest.approx(best.point.alpha)
    assert 0.29 <= best.point.alpha <= 0.3 + 1e-9


def test_every_round_is_told_of_from_none_to_all_of_its_points() -> None:
    class Told(Progress):
        def __init__(self) -> None:
            self.rounds: dict[str, list[tuple[int, int]]] = {}

        def points(self, doing: str, done: int, total: int) -> None:
            self.rounds.setdefault(doing, []).append((done, total))

    watched = Told()

    def ask(point: Point, share: float) -> dict[str, float]:
        del share
        return {"old": 1 - point.alpha, "new": point.alpha}

    search(ask, {"old": 0.3, "new": 0.3}, adapter=True, progress=watched)
    first, second, third = watched.rounds
    assert first == "search, round 1 of 3, points asked"
    assert watched.rounds[first] == [(done, 9) for done in range(10)]  # 0.1 to 0.9
    assert all(
        told[-1][0] == told[-1][1] for told in (watched.rounds[second], watched.rounds[third])
    )


def test_no_cautious_point_keeps_next_to_nothing_of_what_was_learned() -> None:
    result = found(lambda a: 1 - a, lambda a: a, budget=0.12)
    assert 0.1 <= result.best().learned <= 0.12
    assert all(one.learned >= 0.1 - 1e-9 for one in result.steps())


def test_without_a_loss_there_is_nothing_to_search() -> None:
    result = found(lambda _: 1.0, lambda a: a)
    assert (result.lost, result.asked) == ((), 2)


def test_where_every_step_costs_too_much_the_base_is_what_is_left() -> None:
    result = found(lambda a: 1.0 if a == 0 else 0.5, lambda a: a)
    assert result.best().point == BASE
    assert result.best().learned == 0


@pytest.mark.parametrize("adapter", [True, False])
def test_the_way_to_the_best_point_leads_from_much_room_to_little(adapter: bool) -> None:
    result = found(lambda a: 1 - a, lambda a: a, budget=0.65, adapter=adapter)
    way = result.steps()
    assert way[-1] == result.best()
    assert len(way) == 3
    assert all(one.beyond < other.beyond for one, other in pairwise(way))
    assert all(one.learned < other.learned for one, other in pairwise(way))
    # The loss is as large as the gain: half of the best point, and three quarters of it.
    assert way[0].learned == pytest.approx(way[-1].learned / 2, abs=0.1)
    assert way[1].learned == pytest.approx(way[-1].learned * 0.75, abs=0.1)


def test_where_nothing_was_lost_the_way_is_the_tuned_model_alone() -> None:
    assert [one.point for one in found(lambda _: 1.0, lambda a: a).steps()] == [TUNED]
    little = found(lambda a: 1 - 0.01 * a, lambda _: 0.0)  # less than the budget, and nothing new
    assert [one.point for one in little.steps()] == [TUNED]


def test_the_frontier_has_no_point_that_another_beats_in_both() -> None:
    result = found(lambda a: 1 - a**2, lambda a: a, adapter=False)
    front = result.frontier()
    assert front[0].point == TUNED
    learned = [one.learned for one in front]
    over = [one.over for one in front]
    assert learned == sorted(learned, reverse=True)
    assert over == sorted(over, reverse=True)
    assert front[-1].over == 0


@pytest.mark.parametrize("adapter", [True, False])
def test_one_lost_item_among_the_first_few_does_not_hide_a_point_on_the_line(
    adapter: bool,
) -> None:
    def ask(point: Point, share: float) -> dict[str, float]:
        if point.how != "linear":
            return {"old": 0.9, "new": 0.0}
        unlucky = share < 1 and point == Point.even(0.8)
        old = 1.0 if point.alpha < 0.81 and not unlucky else 0.5
        return {"old": old, "new": point.alpha}

    result = search(ask, {"old": 0.05, "new": 0.05}, adapter=adapter)
    assert result.best().point == Point.even(0.8)


def test_a_gain_too_small_to_count_as_a_loss_decides_nothing() -> None:
    """Tuning gained 0.01 on a third task, and half way there 0.04: four times as much."""

    def ask(point: Point, _: float) -> dict[str, float]:
        alpha = point.alpha
        third = 0.04 if alpha == 0.5 else 0.01 * alpha
        return {"old": 1 - alpha**3, "new": alpha, "third": 0.5 + third}

    result = search(ask, dict.fromkeys(("old", "new", "third"), 0.25), adapter=True)
    assert result.learned == ("new",)
    assert result.best().point.alpha == pytest.approx(0.63, abs=0.04)  # 0.63 cubed is 0.25
