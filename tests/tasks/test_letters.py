"""Multiple choice by letter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forgetless.errors import DataError
from forgetless.plan import TaskConfig, make_plan
from forgetless.tasks.letters import lettered
from forgetless.tasks.task import Task, exchange_hash, held_back, load_task, load_tasks
from tests.tiny import write_rows
from tests.training.build import exchange


def test_the_gold_letter_names_the_gold_choice() -> None:
    row = exchange("q", "Which?", "fig", choices=("tin", "fig", "iron"))
    asked = lettered(row)
    assert asked.answer == "B"
    assert asked.choices == ("A", "B", "C")
    assert asked.prompt[-1].content.splitlines()[:4] == ["Which?", "A. tin", "B. fig", "C. iron"]
    assert (asked.id, asked.group) == (row.id, row.group)


def test_an_item_without_choices_has_no_letters() -> None:
    with pytest.raises(DataError, match="'q' has 0 choices, needed 2 to 26"):
        lettered(exchange("q", "Which?", "fig"))


def test_a_task_is_asked_by_letter_where_its_settings_say_so(tmp_path: Path) -> None:
    file = write_rows(
        tmp_path / "fruit.jsonl",
        [{"question": f"Fruit {n}?", "choices": ["tin", "fig"], "answer": "fig"} for n in range(3)],
    )
    task = load_task(TaskConfig(test=str(file), choose_by="letter", shots=1))
    assert [row.answer for row in task.test] == ["B", "B"]
    assert task.shots[0].choices == ("A", "B")
    assert load_task(TaskConfig(test=str(file))).test[0].answer == "fig"


def letter_task(tmp_path: Path, **settings: Any) -> Task:
    rows: list[dict[str, Any]] = [
        {"question": f"Fruit {n}?", "choices": ["tin", "fig"], "answer": "fig"} for n in range(4)
    ]
    file = str(write_rows(tmp_path / "fruit.jsonl", rows))
    config = {"train": file, "test": file, "choose_by": "letter"} | settings
    return load_tasks(make_plan({"model": "m", "sequence": [config]}))[0]


def test_what_is_asked_by_letter_is_taught_by_letter(tmp_path: Path) -> None:
    task = letter_task(tmp_path)
    assert list(task.train) == list(task.test)
    assert [row.answer for row in task.train[1:3]] == ["B", "B"]


def test_a_training_row_without_choices_is_taught_as_it_stands(tmp_path: Path) -> None:
    prose = write_rows(tmp_path / "prose.jsonl", [{"prompt": "Fruit?", "completion": "A fig."}])
    task = letter_task(tmp_path, train=str(prose))
    assert (task.train[0].prompt[-1].content, task.train[0].answer) == ("Fruit?", "A fig.")


def test_test_items_asked_by_letter_are_found_among_rows_that_spell_the_answer(
    tmp_path: Path,
) -> None:
    rows = [{"prompt": f"Fruit {n}?", "completion": "fig"} for n in range(3)]
    task = letter_task(tmp_path, train=str(write_rows(tmp_path / "spelt.jsonl", rows)))
    assert task.warnings == (
        "3 of 4 test items also occur in training: its score shows memory, not skill",
    )
    assert {exchange_hash(row) for row in task.train} < held_back([task])
