from __future__ import annotations

from math import comb

import pytest

from forgetless.errors import NotMeasured
from forgetless.metrics import Cell, find_flips, largest_drops, mcnemar

from .build import cell


def test_flips_name_what_was_lost_and_what_was_gained() -> None:
    found = find_flips(cell("110010"), cell("011000"))
    assert found.lost == ("q0", "q4")
    assert found.gained == ("q2",)
    assert found.items == 6
    assert found.p_value == mcnemar(2, 1)


def test_groups_that_flip_whole_count_once_each() -> None:
    """12 items lost in 6 groups of two: as 6 of 6, twice 1/2^6."""
    groups = {f"q{i}": f"passage {i // 2}" for i in range(12)}
    found = find_flips(cell("1" * 12), cell("0" * 12), groups)
    assert len(found.lost) == 12
    assert found.p_value == pytest.approx(2 / 2**6)
    assert find_flips(cell("1" * 12), cell("0" * 12)).p_value == pytest.approx(2 / 2**12)


def test_items_that_failed_on_either_side_cannot_flip() -> None:
    found = find_flips(cell("1x11"), cell("11x0"))
    assert found.lost == ("q3",)
    assert found.gained == ()
    assert (found.items, found.excluded) == (2, 2)


def test_flips_are_paired_by_id() -> None:
    found = find_flips(Cell({"a": 1.0, "b": 0.0}), Cell({"b": 0.0, "a": 1.0}))
    assert (found.lost, found.gained) == ((), ())


def test_graded_items_drop_and_do_not_flip() -> None:
    with pytest.raises(NotMeasured, match=r"item 'q1' has the score 0\.5"):
        find_flips(cell([1.0, 0.5]), cell([1.0, 1.0]))
    with pytest.raises(NotMeasured, match=r"item 'q0' has the score 0\.25"):
        find_flips(cell([1.0]), cell([0.25]))


@pytest.mark.parametrize("compare", [find_flips, largest_drops])
def test_cells_without_a_common_item_cannot_be_compared(compare: object) -> None:
    assert callable(compare)
    with pytest.raises(NotMeasured, match="no item was scored both before and after"):
        compare(cell("1x"), cell("x1"))


@pytest.mark.parametrize(("lost", "gained"), [(8, 1), (1, 8), (5, 0), (3, 3), (0, 1), (12, 4)])
def test_mcnemar_is_twice_the_smaller_binomial_tail(lost: int, gained: int) -> None:
    flipped = lost + gained
    tail = sum(comb(flipped, k) for k in range(min(lost, gained) + 1)) / 2**flipped
    assert mcnemar(lost, gained) == pytest.approx(min(1.0, 2 * tail))


def test_mcnemar_of_nothing_flipped_is_one() -> None:
    assert mcnemar(0, 0) == 1.0


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="-1 lost"):
        mcnemar(-1, 2)


def test_largest_drops_are_sorted_and_leave_out_what_did_not_fall() -> None:
    before, after = cell([-1.0, -1.0, -1.0, -1.0]), cell([-1.5, -0.5, -3.0, -1.0])
    drops = largest_drops(before, after)
    assert [(drop.item, drop.before, drop.after, drop.size) for drop in drops] == [
        ("q2", -1.0, -3.0, 2.0),
        ("q0", -1.0, -1.5, 0.5),
    ]
    assert [drop.item for drop in largest_drops(before, after, limit=1)] == ["q2"]


def test_largest_drops_refuse_a_negative_limit() -> None:
    with pytest.raises(ValueError, match="limit is -1"):
        largest_drops(cell([0.5]), cell([0.2]), limit=-1)
