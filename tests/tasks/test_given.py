"""Tasks as callers name them: whatever the form, the same items and the same limit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forgetless.errors import DataError, PlanError, UsageError
from forgetless.plan import TaskConfig
from forgetless.tasks.given import TaskLike, read_task, refuse_namesakes
from tests.training.build import exchange, make_task


@pytest.fixture
def file(tmp_path: Path) -> Path:
    lines = [json.dumps({"prompt": f"What is {n}?", "completion": str(n)}) for n in range(6)]
    place = tmp_path / "numbers.jsonl"
    place.write_text("\n".join(lines), encoding="utf-8")
    return place


def test_a_source_its_settings_and_the_task_itself_are_the_same_items(file: Path) -> None:
    settings = {"name": "numbers", "test": str(file)}
    forms: list[TaskLike] = [
        file,
        str(file),
        f"numbers={file}",
        settings,
        TaskConfig.model_validate(settings),
    ]
    asked = [read_task(form) for form in forms]
    asked.append(read_task(asked[0]))
    assert {task.name for task in asked} == {"numbers"}
    assert {tuple(row.answer for row in task.test) for task in asked} == {tuple("012345")}


@pytest.mark.parametrize(
    ("own", "limit", "left"), [(None, None, 6), (None, 2, 2), (3, None, 3), (3, 2, 2), (3, 5, 3)]
)
def test_the_smaller_of_two_limits_counts(
    own: int | None, limit: int | None, left: int, file: Path
) -> None:
    settings = {"test": str(file), "limit": own}
    assert len(read_task(settings, limit).test) == left
    assert len(read_task(TaskConfig(test=str(file), limit=own), limit).test) == left


def test_a_task_that_was_read_already_is_limited_too(file: Path) -> None:
    task = read_task(file)
    assert [row.answer for row in read_task(task, 2).test] == ["0", "1"]
    assert len(task.test) == 6


def test_a_task_without_test_items_is_refused() -> None:
    task = make_task("none", (), [exchange("t", "Which?", "red")])
    object.__setattr__(task, "test", ())
    with pytest.raises(DataError, match="task 'none' has no test items"):
        read_task(task)


def test_settings_that_are_none_say_who_asked() -> None:
    with pytest.raises(PlanError, match="the guard: unknown key 'tset'") as caught:
        read_task({"tset": "a.jsonl"}, where="the guard")
    assert caught.value.fix == "did you mean 'test'?"


def test_two_tasks_of_one_name_are_refused_with_the_name() -> None:
    refuse_namesakes(["law", "numbers"])
    with pytest.raises(UsageError, match="two tasks are named 'law'"):
        refuse_namesakes(["law", "numbers", "law"])
