from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, reject
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from forgetless.errors import DataError
from forgetless.methods.parts.withheld import withhold
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.task import Task, exchange_hash
from tests.training.build import colour_task, exchange, make_task, one_stage_a_task


def task_of(name: str, asked: Sequence[int]) -> Task:
    """A row for each number; equal numbers are equal rows with different ids."""
    return make_task(name, [exchange(place, f"{n}?", f"{n}!") for place, n in enumerate(asked)])


def ids(rows: Sequence[Row]) -> list[str]:
    return [row.id for row in rows]


@given(
    asked=st.lists(st.lists(st.integers(0, 30), min_size=4, max_size=40), min_size=1, max_size=3),
    share=st.floats(0.01, 0.9),
    seed=st.integers(0, 9),
)
@hypothesis_settings(max_examples=60, deadline=None)
def test_every_row_is_on_one_side_with_all_that_teach_the_same(
    asked: list[list[int]], share: float, seed: int
) -> None:
    tasks = [task_of(f"t{number}", numbers) for number, numbers in enumerate(asked)]
    try:
        stages, withheld = withhold(one_stage_a_task(tasks, seed), share)
    except DataError:
        reject()  # too few rows that differ
    learned, held = set(), set()
    for task, stage in zip(tasks, stages, strict=True):
        (taught,) = stage.tasks
        assert sorted(ids(taught.train) + ids(withheld[task.name])) == sorted(ids(task.train))
        learned |= {exchange_hash(row) for row in taught.train}
        held |= {exchange_hash(row) for row in withheld[task.name]}
    assert learned.isdisjoint(held)
    assert all(held <= stage.held_back for stage in stages)


@pytest.mark.parametrize(
    ("rows", "share", "expected"),
    [(100, 0.1, 10), (100, 0.01, 4), (6, 0.01, 3), (2, 0.5, 1), (9, 0.9, 4), (4000, 0.5, 256)],
)
def test_share_is_withheld_within_bounds(rows: int, share: float, expected: int) -> None:
    stages, withheld = withhold(one_stage_a_task([task_of("t", range(rows))]), share)
    assert len(withheld["t"]) == expected
    assert len(stages[0].tasks[0].train) == rows - expected


def test_copies_of_a_row_count_as_rows() -> None:
    _, withheld = withhold(one_stage_a_task([task_of("t", [*range(10), *range(10)])]), 0.4)
    assert len(withheld["t"]) == 8


def test_order_of_the_rows_stays() -> None:
    (stage,), withheld = withhold(one_stage_a_task([task_of("t", range(50))]), 0.3)
    for rows in (stage.tasks[0].train, withheld["t"]):
        assert ids(rows) == sorted(ids(rows), key=int)


def test_tasks_of_earlier_stages_are_the_very_ones_that_were_learned() -> None:
    tasks = [colour_task("first", 0), colour_task("second", 1), colour_task("third", 2)]
    stages, _ = withhold(one_stage_a_task(tasks), 0.3)
    taught = [stage.tasks[0] for stage in stages]
    assert [[task is taught[n] for n, task in enumerate(s.earlier)] for s in stages] == [
        [], [True], [True, True]
    ]  # fmt: skip
    assert all(len(task.train) == 8 for task in taught)
    assert [task.test for task in taught] == [task.test for task in tasks]


def test_choice_depends_on_the_seed_and_the_rows_and_on_nothing_else() -> None:
    def chosen(asked: Sequence[int], name: str = "t", seed: int = 0) -> set[str]:
        _, withheld = withhold(one_stage_a_task([task_of(name, asked)], seed), 0.2)
        return {row.answer for row in withheld[name]}

    assert chosen(range(50)) == chosen(range(50), name="other") == chosen(range(49, -1, -1))
    assert chosen(range(50)) != chosen(range(50), seed=1)
    assert chosen(range(50)) != {f"{n}!" for n in range(10)}


@pytest.mark.parametrize("asked", [[1], [1, 1, 1, 1, 1]])
def test_task_with_too_few_different_rows_is_refused_with_what_to_do(asked: list[int]) -> None:
    with pytest.raises(DataError) as caught:
        withhold(one_stage_a_task([task_of("t", asked)]), 0.1)
    assert caught.value.message == (
        f"task 't': of its {len(asked)} training rows, 0 teach a test item, and of the others too "
        "few differ to withhold some"
    )
    assert caught.value.fix == "add rows, or give alpha a number:  merge: {alpha: 0.5}"


def test_what_any_task_tests_is_never_withheld_and_so_chooses_nothing() -> None:
    """Not where it stands within a chat either, nor a copy of what such a chat teaches last."""
    chat = Row("chat", (Turn("user", "0?"), Turn("assistant", "0!"), Turn("user", "9?")), "9!")
    rows = [exchange(n, f"{n}?", f"{n}!") for n in range(10)]
    first = make_task("first", [*rows, chat], rows[:4])
    second = make_task("second", [*rows[2:], *rows[2:]], rows[4:6])
    for seed in range(10):
        stages, withheld = withhold(one_stage_a_task([first, second], seed), 0.9)
        assert set(ids(withheld["first"])) < {"6", "7", "8"}
        assert set(ids(withheld["second"])) < {"6", "7", "8"}
        assert {"0", "1", "2", "3", "4", "5", "9", "chat"} < set(ids(stages[0].tasks[0].train))


def test_task_whose_every_row_is_tested_is_refused_with_what_to_do() -> None:
    rows = [exchange(n, f"{n}?", f"{n}!") for n in range(20)]
    with pytest.raises(DataError) as caught:
        withhold(one_stage_a_task([make_task("t", rows, rows, memory=True)]), 0.1)
    assert caught.value.message.startswith(
        "task 't': of its 20 training rows, 20 teach a test item, and of the others too few differ"
    )
    assert caught.value.fix == "add rows, or give alpha a number:  merge: {alpha: 0.5}"
