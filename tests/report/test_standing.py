"""How far a run has come is told from any state that a kill can leave it in."""

from __future__ import annotations

import json
import os
import platform
import shlex
from pathlib import Path

import pytest

from forgetless.plan import Plan, load_plan
from forgetless.report.standing import read_standing

from .fake_runs import FakeTask, write_run

TASKS = [
    FakeTask("law", [0.1, 0.8, 0.3], 1, items=10),
    FakeTask("tax", [0.2, 0.2, 0.9], 2, items=10),
]


def load_plan_with(setting: str, folder: Path) -> Plan:
    """A small plan, one setting changed as ``--set`` does."""
    file = folder / "small.yaml"
    file.write_text("model: m\nsequence: [a.jsonl]\n")
    return load_plan(file, [setting])


def test_a_finished_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    found = read_standing(write_run(tmp_path / "run", TASKS))
    assert (found.state, found.command, found.holder) == ("finished", None, None)
    assert [stage.progress for stage in found.stages] == ["done"] * 3


def test_every_stage_is_told_how_far_it_came(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", TASKS, done=1)
    found = read_standing(folder)
    assert [(stage.name, stage.progress) for stage in found.stages] == [
        ("0-base", "done"),
        ("1-law", "trained"),
        ("2-tax", "to come"),
    ]
    for step in (200, 1000, 400):
        (folder / "stages" / "2-tax" / "checkpoints" / f"checkpoint-{step}").mkdir(parents=True)
    last = read_standing(folder).stages[-1]
    assert (last.progress, last.checkpoint) == ("begun", 1000)


def test_a_stage_that_trains_all_tasks_at_once_is_found_where_it_was_begun(tmp_path: Path) -> None:
    tasks = [FakeTask("law", [0.1, 0.8], 1), FakeTask("tax", [0.2, 0.9], 1)]
    folder = write_run(tmp_path / "run", tasks, done=0, manifest={"stages": []})
    (folder / "stages" / "1-joint" / "checkpoints" / "checkpoint-200").mkdir(parents=True)
    joint = read_standing(folder).stages[1]
    assert (joint.name, joint.progress, joint.checkpoint) == ("1-joint", "begun", 200)


def test_a_run_killed_before_its_first_score_has_a_standing_and_no_scores(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", TASKS, done=0, manifest={"stages": []})
    found = read_standing(folder)
    assert [stage.progress for stage in found.stages] == ["to come"] * 3
    assert not found.scored
    assert found.command == f"forgetless run {folder / 'plan.yaml'}"


def test_a_folder_that_was_moved_is_gone_on_with_where_it_is_now(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", TASKS, done=1)
    (folder / "plan.yaml").write_text(f"output: {folder}\n")
    assert read_standing(folder).command == f"forgetless run {folder / 'plan.yaml'}"
    moved = folder.rename(tmp_path / "moved")
    expected = f"forgetless run {moved / 'plan.yaml'} --set output={moved}"
    assert read_standing(moved).command == expected


def test_a_name_that_yaml_would_cut_short_is_quoted_for_it_and_for_the_shell(
    tmp_path: Path,
) -> None:
    folder = write_run(tmp_path / "exp #1", TASKS, done=1)
    (folder / "plan.yaml").write_text("output: elsewhere\n")
    command = read_standing(folder).command
    assert command is not None
    *_, setting = shlex.split(command)
    assert load_plan_with(setting, tmp_path).output == str(folder)


@pytest.mark.parametrize("content", [b"a: \xff\xfe\n", b"output: [", b"- output", b"{output: 3}"])
def test_a_run_whose_plan_is_damaged_still_has_a_standing(tmp_path: Path, content: bytes) -> None:
    folder = write_run(tmp_path / "run", TASKS, done=1)
    (folder / "plan.yaml").write_bytes(content)
    assert read_standing(folder).command == f"forgetless run {folder / 'plan.yaml'}"


@pytest.mark.parametrize(
    ("pid", "host", "told"),
    [
        (os.getpid(), platform.node(), "process {pid} on this machine, since noon"),
        (2**22 + 1, platform.node(), None),  # beyond the largest process number of Linux
        (10**20, platform.node(), None),
        (7, "elsewhere", "perhaps process 7 on elsewhere, since noon"),
    ],
    ids=["here", "gone", "no process", "elsewhere"],
)
def test_who_works_on_a_run_is_told_as_far_as_it_is_known(
    tmp_path: Path, pid: int, host: str, told: str | None
) -> None:
    folder = write_run(tmp_path / "run", TASKS, done=1)
    (folder / ".lock.json").write_text(json.dumps({"pid": pid, "host": host, "since": "noon"}))
    assert read_standing(folder).holder == (told and told.format(pid=pid))
