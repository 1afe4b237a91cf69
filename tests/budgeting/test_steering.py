"""The price of losses: how it moves, and what it buys."""

from __future__ import annotations

import pytest

from forgetless.budgeting.steering import emphasis, next_price, step_share


def test_the_price_doubles_at_most_in_one_check_and_never_falls_below_the_plan() -> None:
    assert next_price(1.0, 0.0) == 1.0
    assert next_price(1.0, 100.0) == 2.0
    assert next_price(8.0, -100.0) == 4.0
    assert next_price(1.5, -1.0) == 1.0
    assert next_price(2.0, 0.5) == pytest.approx(2 * 2**0.5)
    assert next_price(64.0, 1.0) == 64.0


@pytest.mark.parametrize("price", [1.0, 3.0, 8.0, 20.0, 64.0])
@pytest.mark.parametrize("protected", [True, False])
def test_what_protections_cannot_take_shortens_the_steps(price: float, protected: bool) -> None:
    factor = emphasis(price, protected=protected)
    share = step_share(price, protected=protected)
    assert 1 <= factor <= 8
    assert 1 / 8 <= share <= 1
    assert factor / share == pytest.approx(price if protected else min(price, 8))


def test_without_protections_nothing_is_emphasised() -> None:
    assert emphasis(5.0, protected=False) == 1.0
    assert step_share(4.0, protected=False) == 0.25
    assert step_share(4.0, protected=True) == 1.0
