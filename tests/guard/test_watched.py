"""Tasks and budgets of a guard are checked when it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forgetless.errors import UsageError
from forgetless.guard import RetentionGuard
from forgetless.guard.watched import asked_hash
from forgetless.plan import TaskConfig
from tests.tiny import colours, write_rows
from tests.training.build import colour_task, make_task


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "colours.jsonl", colours(count=30))


def names(guard: RetentionGuard) -> list[str]:
    return [task.name for task in guard.tasks]


def test_tasks_are_named_as_files_settings_bundled_or_made(file: Path) -> None:
    made = colour_task("made")
    guard = RetentionGuard(
        [
            *(str(file), "bundled:general_knowledge", made),
            {"name": "mine", "test": str(file), "limit": 7},
            TaskConfig(name="config", test=str(file)),
        ],
        limit=None,
    )
    assert names(guard) == ["colours", "general_knowledge", "made", "mine", "config"]
    assert len(guard.tasks[0].test) == 30  # every row of a file is asked
    assert guard.tasks[2] is made
    assert len(guard.tasks[3].test) == 7
    assert guard.tasks[1].config.render == "plain"  # as the bundled task wants it


@pytest.mark.parametrize("wrap", [str, Path, lambda file: TaskConfig(test=str(file))])
def test_a_single_task_needs_no_list(wrap: Any, file: Path) -> None:
    assert len(RetentionGuard(wrap(file)).tasks) == 1


def test_items_are_drawn_from_all_over_the_file_and_the_same_every_time(file: Path) -> None:
    first, second = (RetentionGuard([file], limit=10).tasks[0] for _ in range(2))
    drawn = [row.id for row in first.test]
    everything = [row.id for row in RetentionGuard([file]).tasks[0].test]
    assert len(drawn) == 10
    assert drawn == [row.id for row in second.test]
    assert drawn == sorted(drawn, key=everything.index)
    assert drawn != everything[:10]
    assert drawn != [row.id for row in RetentionGuard([file], limit=10, seed=1).tasks[0].test]


def test_what_is_asked_is_known_by_its_content_and_not_by_its_place(file: Path) -> None:
    moved = write_rows(file.with_name("moved.jsonl"), colours(count=30))
    other = write_rows(file.with_name("other.jsonl"), colours(1, count=30))

    def asked(**settings: Any) -> str:
        settings = {k: str(v) if k == "test" else v for k, v in settings.items()}
        return asked_hash(RetentionGuard([{"name": "t", **settings}]).tasks[0])

    assert asked(test=file) == asked(test=moved)
    assert asked(test=file) != asked(test=other)
    assert asked(test=file) != asked(test=file, max_new_tokens=3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tasks": []}, "given no task"),
        ({"every": 0}, "every is 0"),
        ({"every": 2.5}, "every is 2.5, needed a whole number from 1"),
        ({"every": np.int64(0)}, "every is np.int64(0), needed a whole number from 1"),
        ({"every": True}, "every is True"),
        ({"patience": None}, "patience is None"),
        ({"patience": 0}, "patience is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"limit": 0}, "limit is 0"),
        ({"limit": 1.5}, "limit is 1.5"),
        ({"limit": "5"}, "limit is '5'"),
        ({"level": 95}, "level is 95"),
        ({"level": "0.9"}, "level is '0.9', needed 0.5 to 1"),
        ({"on_break": "explode"}, "on_break is 'explode'\n  fix: one of 'log', 'stop', 'rollback'"),
        ({"budget": 5}, "budget of 'first' is 5, needed a share"),
        ({"budget": -0.1}, "budget of 'first' is -0.1"),
        ({"budget": float("nan")}, "budget of 'first' is nan"),
        ({"budget": "5%"}, "budget of 'first' is '5%', needed 0.05"),
        ({"budget": {"frist": 0.1}}, "names the task 'frist'"),
        ({"tasks": ["no_such_file.jsonl"]}, "no_such_file.jsonl"),
        ({"tasks": ["bundled:medicall_facts"]}, "did you mean bundled:medical_facts"),
        (
            {"tasks": [{"tset": "a.jsonl"}]},
            "task: unknown key 'tset'\n  fix: did you mean 'test'?",
        ),
        (
            {"tasks": [{"test": "a.jsonl", "limit": 0}]},
            "RetentionGuard: task: limit: found int",
        ),
        ({"tasks": [{"name": "empty"}]}, "needs train, test or both"),
        ({"tasks": [colour_task("a"), colour_task("a")]}, "retention/a"),
        ({"tasks": [colour_task("a_change"), colour_task("a")]}, "retention/a_change"),
        ({"tasks": [colour_task("worst_loss")]}, "retention/worst_loss"),
    ],
)
def test_wrong_settings_are_told_before_training(changes: dict[str, Any], said: str) -> None:
    settings: dict[str, Any] = {"tasks": [colour_task("first")], **changes}
    with pytest.raises(UsageError) as raised:
        RetentionGuard(**settings)
    assert said in str(raised.value)


def test_counts_may_be_numbers_of_numpy() -> None:
    RetentionGuard([colour_task("first")], every=np.int64(8), limit=np.int32(1))  # type: ignore[arg-type]


def test_a_task_without_test_items_is_refused() -> None:
    task = make_task("none")
    object.__setattr__(task, "test", ())
    with pytest.raises(UsageError, match="'none' has no test items"):
        RetentionGuard([task])
