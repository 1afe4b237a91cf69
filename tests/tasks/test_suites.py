"""The computed tasks of the built-in suites: enough items, balanced, and right."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from collections import Counter

import pytest

from forgetless.errors import DataError
from forgetless.plan import TaskConfig
from forgetless.tasks.bundled import BUNDLED_TASKS
from forgetless.tasks.row import Row
from forgetless.tasks.suites import SUITES, suite
from forgetless.tasks.task import load_task

COMPUTED = ("knowledge", "arithmetic", "reasoning", "reading", "code_reading", "languages")
CHOSEN = tuple(name for name in COMPUTED if name != "arithmetic")
EVERY = tuple(one.task for one in SUITES["default"])


def rows(name: str) -> list[Row]:
    return BUNDLED_TASKS[name].test()


def asked(row: Row) -> str:
    return row.prompt[-1].content


@pytest.mark.parametrize("name", EVERY)
def test_a_task_has_at_least_300_items_each_once(name: str) -> None:
    items = rows(name)
    assert len(items) >= 300
    assert len({row.id for row in items}) == len(items)
    assert len({(asked(row), row.choices) for row in items}) == len(items)


@pytest.mark.parametrize("name", EVERY)
def test_items_are_drawn_the_same_each_time(name: str) -> None:
    assert rows(name) == rows(name)


@pytest.mark.parametrize("name", COMPUTED)
def test_any_first_part_is_balanced_over_the_levels(name: str) -> None:
    levels = Counter(row.id.split("/")[0] for row in rows(name)[:60])
    assert len(levels) >= 4
    assert max(levels.values()) - min(levels.values()) <= 1


@pytest.mark.parametrize("name", CHOSEN)
def test_the_right_choice_stands_everywhere_equally_often(name: str) -> None:
    items = rows(name)
    places = Counter(row.gold for row in items)
    expected = len(items) / 4
    assert sum((places[place] - expected) ** 2 / expected for place in range(4)) < 11.3  # p > .01
    assert all(len(set(row.choices)) == 4 for row in items)


@pytest.mark.parametrize("name", CHOSEN)
def test_length_does_not_give_the_answer_away(name: str) -> None:
    items = rows(name)
    for pick in (max, min):
        found = sum(
            len(row.answer) == pick(map(len, row.choices))
            for row in items
            if len(set(map(len, row.choices))) > 1
        )
        shared = sum(
            [len(choice) for choice in row.choices].count(pick(map(len, row.choices))) / 4
            for row in items
            if len(set(map(len, row.choices))) > 1
        )
        assert abs(found - shared) <= 0.1 * len(items)


def test_a_program_prints_what_python_says_it_prints() -> None:
    for row in rows("code_reading"):
        (program,) = re.findall(
            r"Python program:\n\n(.*)\n\nprints the following:", asked(row), re.S
        )
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(program, {})  # noqa: S102 - written by our own generator
        assert printed.getvalue().strip() == row.answer, program


def test_a_bare_calculation_has_the_result_that_python_computes() -> None:
    checked = 0
    for row in rows("arithmetic"):
        found = re.search(r"What is (\d+) ([-+×x*/÷]) (\d+)\?", asked(row))
        if found is None:
            continue
        first, sign, second = int(found[1]), found[2], int(found[3])
        result = {
            "+": first + second,
            "-": first - second,
            "×": first * second,
            "x": first * second,
            "*": first * second,
        }.get(sign, first / second if second else 0)
        assert float(row.answer) == result, asked(row)
        checked += 1
    assert checked > 50


def test_the_largest_and_smallest_of_some_numbers_are() -> None:
    checked = 0
    for row in rows("reasoning"):
        found = re.fullmatch(r"Of the numbers (.*), the (largest|smallest) is", asked(row))
        if found:
            numbers = [int(number) for number in re.findall(r"\d+", found[1])]
            assert int(row.answer) == (max if found[2] == "largest" else min)(numbers)
            checked += 1
    assert checked >= 5


def test_whoever_lives_somewhere_in_a_passage_lives_there_in_the_answer() -> None:
    checked = 0
    for row in rows("reading"):
        found = re.search(r"Question: Where does (\w+) live\?", asked(row))
        if found and "moved" not in asked(row):
            (town,) = re.findall(rf"{found[1]} lives in (\w+)\.", asked(row)) or [row.answer]
            assert town == row.answer
            checked += 1
    assert checked >= 10


def test_questions_on_one_passage_are_one_group() -> None:
    by_passage: dict[str, set[str]] = {}
    for row in rows("reading"):
        by_passage.setdefault(asked(row).split("\n\nQuestion:")[0], set()).add(row.group)
    assert all(len(groups) == 1 for groups in by_passage.values())
    assert len(by_passage) >= 60


def test_no_item_is_in_two_tasks() -> None:
    seen = Counter(asked(row) for name in COMPUTED for row in rows(name))
    across = Counter(text for name in COMPUTED for text in {asked(row) for row in rows(name)})
    assert seen.keys() == across.keys()
    assert max(across.values()) == 1


@pytest.mark.parametrize("name", COMPUTED)
def test_a_change_of_the_items_needs_another_version(name: str) -> None:
    text = "\n".join(f"{row.id} {row.content_hash()}" for row in rows(name))
    found = hashlib.sha256(text.encode()).hexdigest()[:12]
    assert (BUNDLED_TASKS[name].version, found) == PINNED[name]


def test_a_suite_is_made_of_tasks_that_there_are() -> None:
    for members in SUITES.values():
        assert all(one.task in BUNDLED_TASKS for one in members)
    assert {one.area for one in suite("default")} == {
        *("general ability", "instruction following", "safety")
    }
    assert all(one.limit == 60 for one in suite("quick"))


def test_a_suite_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(DataError, match="'defualt': there is none") as refused:
        suite("defualt")
    assert refused.value.fix == "did you mean 'default'?"


def test_builtin_is_another_spelling_of_bundled() -> None:
    task = load_task(TaskConfig(test="builtin:knowledge", limit=5))
    assert task.config.test == "bundled:knowledge"
    assert (task.name, len(task.test)) == ("knowledge", 5)


PINNED: dict[str, tuple[str, str]] = {
    "knowledge": ("1", "5bb818389f0e"),
    "arithmetic": ("1", "c14d440c14f0"),
    "reasoning": ("1", "a8fa56996c1e"),
    "reading": ("1", "df9e62d5cabe"),
    "code_reading": ("1", "f9785aef7961"),
    "languages": ("1", "df826f701950"),
}
