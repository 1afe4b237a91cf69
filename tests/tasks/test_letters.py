"""Multiple choice by letter."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetless.errors import DataError
from forgetless.plan import TaskConfig
from forgetless.tasks.letters import lettered
from forgetless.tasks.task import load_task
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
