"""A task in two halves, of which one chooses and the other certifies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from forgetless.errors import DataError
from forgetless.plan import TaskConfig
from forgetless.tasks.bundled import BUNDLED_TASKS
from forgetless.tasks.halves import by_lot, halves
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.task import load_task
from tests.training.build import exchange, make_task


def test_every_item_is_in_one_half_and_no_group_in_both() -> None:
    rows = [exchange(n, f"{n}?", "a", group=f"g{n // 3}" if n < 12 else None) for n in range(20)]
    first, second = halves(make_task("law", test=rows))
    ids = [[row.id for row in half.test] for half in (first, second)]
    assert sorted(ids[0] + ids[1]) == sorted(row.id for row in rows)
    groups = [{row.group for row in half.test if row.group} for half in (first, second)]
    assert all(len(found) == 2 for found in groups)
    assert groups[0] | groups[1] == {"g0", "g1", "g2", "g3"}
    assert len(ids[0]) == len(ids[1]) == 10
    assert first.name == second.name == "law"


def test_a_file_that_alternates_between_two_kinds_does_not_put_them_into_two_halves() -> None:
    rows = [exchange(n, f"{n}?", "a" if n % 2 else "b") for n in range(200)]
    for half in halves(make_task("law", test=rows)):
        assert 30 < sum(row.answer == "a" for row in half.test) < 70


@pytest.mark.parametrize("name", sorted(BUNDLED_TASKS))
def test_every_kind_of_a_built_in_task_is_in_both_halves(name: str) -> None:
    task = load_task(TaskConfig(test=f"bundled:{name}", name=name))
    kinds = [Counter(row.id.split("/")[0] for row in half.test) for half in halves(task)]
    for kind, number in (kinds[0] + kinds[1]).items():
        assert number < 20 or min(half[kind] for half in kinds) >= number / 4, kind


def test_items_that_ask_the_same_are_a_group_and_come_into_one_half() -> None:
    rows = [exchange(n, f"{n // 2}?", "a") for n in range(32)]
    task = make_task("law", test=rows)
    assert len(set(task.groups.values())) == 16
    asked = [{row.prompt[0].content for row in half.test} for half in halves(task)]
    assert not asked[0] & asked[1]


@pytest.mark.parametrize(
    ("groups", "wording"),
    [
        ("xy", "q {}?"),  # every item is asked in two groups
        (("x", None), "q {}?"),  # in one group, and in none
        ((None, None), "Q  {}?"),
    ],
)
def test_items_that_ask_the_same_are_one_group_whatever_the_file_names(
    groups: Sequence[str | None], wording: str
) -> None:
    rows = [
        exchange(f"{n}/{place}", text.format(n), "a", group=f"{group}{n // 2}" if group else None)
        for n in range(32)
        for place, (group, text) in enumerate(zip(groups, ("q {}?", wording), strict=True))
    ]
    task = make_task("law", test=rows)
    assert len(task.groups) == 64
    assert len(set(task.groups.values())) == (16 if any(groups) else 32)
    halved = [{row.id.partition("/")[0] for row in half.test} for half in halves(task)]
    assert not halved[0] & halved[1]


def test_groups_that_share_items_in_a_chain_are_one_named_as_the_first() -> None:
    rows = [
        exchange(f"{n}/{g}", f"{n}?", "a", group=f"g{g:02}") for g in range(9) for n in (g, g + 1)
    ]
    for order in (rows, rows[::-1], rows[1::2] + rows[::2]):
        assert set(make_task("law", test=order).groups.values()) == {"g00"}


def test_conversations_that_end_in_the_same_words_are_not_the_same_item() -> None:
    end = (Turn("assistant", "And?"), Turn("user", "Is it true?"))
    rows = [Row(str(n), (Turn("user", f"Passage {n}"), *end), "yes") for n in range(4)]
    rows += [Row(f"c{n}", (Turn("user", "Which?"),), "a", choices=("a", f"{n}")) for n in range(4)]
    assert make_task("law", test=rows).groups == {}


def test_the_first_few_items_by_lot_are_of_all_kinds_of_a_sorted_file() -> None:
    rows = [exchange(n, f"{n}?", "a" if n < 100 else "b") for n in range(200)]
    task = make_task("law", test=rows)
    drawn, again = by_lot(task).test, by_lot(by_lot(task)).test
    assert 10 < sum(row.answer == "a" for row in drawn[:40]) < 30
    assert sorted(row.id for row in drawn) == sorted(row.id for row in rows)
    assert [row.id for row in drawn] == [row.id for row in again]


def test_halves_do_not_depend_on_the_order_of_the_items() -> None:
    rows = [exchange(n, f"{n}?", "a") for n in range(40)]
    there, back = (halves(make_task("law", test=order)) for order in (rows, rows[::-1]))
    for one, other in zip(there, back, strict=True):
        assert {row.id for row in one.test} == {row.id for row in other.test}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([exchange(n, f"{n}?", "a") for n in range(15)], "15 test items.*needed at least 16"),
        ([exchange(n, f"{n}?", "a", group="g") for n in range(16)], "all test items are of one"),
        ([exchange(n, "same?", "a") for n in range(16)], "or ask the same"),
        (
            [exchange(n, f"{n}?", "a", group="g" if n else None) for n in range(16)],
            "the halves have 15 and 1 items, and each needs at least 8",
        ),
    ],
)
def test_what_cannot_be_halved_is_refused(rows: list[object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        halves(make_task("law", test=rows))  # type: ignore[arg-type]
