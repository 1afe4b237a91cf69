from __future__ import annotations

import json

from forgetless.methods.compose import Compose
from forgetless.plan import MethodSpec
from tests.tiny import build_tokenizer
from tests.training.build import colour_task, one_stage_a_task, settings, stage_schedule

TASKS = [colour_task("a", 0), colour_task("b", 1), colour_task("c", 2)]


def test_joint_is_one_stage_on_all_tasks() -> None:
    stages = Compose.from_plan([MethodSpec(name="joint")]).stages(one_stage_a_task(TASKS, seed=5))
    assert [(s.number, s.name, s.from_base, s.seed) for s in stages] == [(1, "1-joint", True, 5)]
    assert stages[0].tasks == tuple(TASKS)
    assert stages[0].earlier == ()


def test_cumulative_joint_retrains_from_the_untouched_model_on_all_tasks_so_far() -> None:
    joint = Compose.from_plan([MethodSpec(name="joint", options={"cumulative": True})])
    plain = one_stage_a_task(TASKS)
    stages = joint.stages(plain)
    assert [[task.name for task in s.tasks] for s in stages] == [["a"], ["a", "b"], ["a", "b", "c"]]
    assert all(stage.from_base and stage.earlier == () for stage in stages)
    assert [s.name for s in stages] == [s.name for s in plain]
    assert [s.held_back for s in stages] == [s.held_back for s in plain]


def test_joint_epoch_holds_every_row_of_every_task_once() -> None:
    joint = Compose.from_plan([MethodSpec(name="joint")])
    (stage,) = joint.stages(one_stage_a_task(TASKS))
    schedule = stage_schedule(stage, joint, build_tokenizer(), settings(steps=None, epochs=1))
    found = [json.loads(line) for line in schedule.lines()]
    assert sorted((line["task"], line["row"]) for line in found) == sorted(
        (task.name, row.id) for task in TASKS for row in task.train
    )
    assert [line["task"] for line in found] != sorted(line["task"] for line in found)
    assert not any(line["replayed"] for line in found)
