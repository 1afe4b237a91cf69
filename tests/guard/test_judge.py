"""A budget is broken by a loss above it that chance does not explain."""

from __future__ import annotations

import pytest

from forgetless.guard.judge import Finding, column_of, judge
from forgetless.metrics import Cell, Unit


def cell(right: int, of: int, first: int = 0) -> Cell:
    """So many items right, from one on; the others wrong."""
    return Cell({f"q{n}": float(first <= n < first + right) for n in range(of)})


def found(
    before: Cell,
    now: Cell,
    budget: float | None = 0.05,
    unit: Unit = "accuracy",
    certain: bool = True,
    groups: dict[str, str] | None = None,
) -> Finding:
    return judge(column_of("law", unit, groups), before, now, budget, certain=certain, level=0.95)


def test_a_loss_above_the_budget_that_is_certain_breaks_it() -> None:
    finding = found(cell(90, 100), cell(70, 100))
    assert finding.broken
    assert not finding.within
    assert finding.score == 0.7
    assert finding.change.value == pytest.approx(-0.2)
    assert finding.reason == "lost 0.200, budget 0.05: broken"


def test_a_loss_within_the_budget_breaks_nothing_however_certain() -> None:
    finding = found(cell(900, 1000), cell(860, 1000))
    assert finding.change.interval is not None
    assert finding.change.interval.high < 0
    assert (finding.broken, finding.within) == (False, True)


@pytest.mark.parametrize("certain", [True, False])
def test_items_that_flip_both_ways_break_only_a_budget_that_need_not_be_certain(
    certain: bool,
) -> None:
    # 14 lost and 8 gained of 100: 6 points lost, p = .29
    finding = found(cell(60, 100), cell(54, 100, first=14), certain=certain)
    assert finding.change.value == pytest.approx(-0.06)
    assert finding.broken is not certain
    assert not finding.within  # nothing to roll back to either


def test_a_loss_of_exactly_the_budget_is_within_it() -> None:
    finding = found(cell(85, 100), cell(80, 100), certain=False)
    assert finding.within
    finding = found(cell(30, 100), cell(20, 100), 0.1, certain=False)  # .3 - .2 = .09999...
    assert finding.within


def test_a_gain_is_never_a_loss() -> None:
    finding = found(cell(50, 100), cell(90, 100), 0.0, certain=False)
    assert (finding.broken, finding.within) == (False, True)


def test_nats_have_a_budget_in_nats() -> None:
    before = Cell({f"q{n}": -1.0 - n / 100 for n in range(50)})
    now = Cell({f"q{n}": -1.3 - n / 90 for n in range(50)})
    assert found(before, now, 0.05, "nats").broken
    assert not found(before, now, 0.5, "nats").broken


def test_without_a_budget_nothing_is_judged() -> None:
    finding = found(cell(90, 100), cell(0, 100), None)
    assert (finding.broken, finding.within) == (False, True)
    assert finding.change.value == pytest.approx(-0.9)


def test_only_items_scored_both_times_are_compared() -> None:
    before = Cell({"a": 1.0, "b": 0.0}, {"c": "too long"})
    finding = found(before, Cell({"a": 1.0, "b": 0.0, "c": 1.0}))
    assert (finding.missing, finding.change.value) == (0, 0.0)


def test_items_that_can_no_longer_be_scored_break_the_budget_and_are_not_wrong() -> None:
    before = cell(100, 100)
    few = Cell({f"q{n}": 1.0 for n in range(95)}, {f"q{n}": "nan" for n in range(95, 100)})
    many = Cell({f"q{n}": 1.0 for n in range(94)}, {f"q{n}": "nan" for n in range(94, 100)})
    assert (found(before, few).broken, found(before, few).missing) == (False, 5)
    assert found(before, many).broken
    assert found(before, many).change.value == 0.0
    assert found(before, many).reason == "6 of 100 items can no longer be scored"


def test_a_task_of_which_nothing_can_be_scored_is_broken_without_a_figure() -> None:
    finding = found(cell(9, 10), Cell({}, {f"q{n}": "nan" for n in range(10)}))
    assert finding.broken
    assert finding.score is finding.change.value is None
    assert not found(cell(9, 10), Cell({}, {"q0": "nan"}), None).broken


def test_items_of_one_passage_that_fall_together_are_one_piece_of_evidence() -> None:
    # 10 of 100 lost: sure if they are ten accidents, not if they are one passage of ten
    before, now = cell(90, 100), cell(80, 100)
    assert found(before, now).broken
    groups = {f"q{n}": f"passage {n // 10}" for n in range(100)}
    assert not found(before, now, groups=groups).broken
