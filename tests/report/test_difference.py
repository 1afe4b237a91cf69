"""Two runs beside one another: what differs in how they came about, and what it did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from forgetless.metrics import mcnemar
from forgetless.report import read_run
from forgetless.report.difference import Differing, RunDifference, difference

from .fake_runs import FakeTask, write_run

PLAN: dict[str, Any] = {
    "model": {"name": "m"},
    "sequence": [{"name": "law", "train": "law.jsonl"}, {"name": "tax", "train": "tax.jsonl"}],
    "test_only": [],
    "methods": [],
    "training": {"seed": 0, "epochs": 3},
    "output": "runs/a",
}


def run(
    folder: Path,
    law: float = 0.3,
    plan: dict[str, Any] | None = None,
    done: int | None = None,
    fingerprints: str = "abc",
    **extra: Any,
) -> Path:
    """Law at ``law`` and tax at 0.9 in the end, of ten items each."""
    write_run(
        folder,
        [
            FakeTask("law", [0.1, 0.8, law], 1, items=10, extra=extra),
            FakeTask("tax", [0.2, 0.2, 0.9], 2, items=10),
        ],
        done=done,
    )
    (folder / "plan.yaml").write_text(yaml.safe_dump(PLAN | (plan or {})))
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    for stage, fingerprint in zip(manifest["stages"], fingerprints, strict=False):
        stage["fingerprint"] = fingerprint
    file.write_text(json.dumps(manifest))
    return folder


def compared(first: Path, second: Path) -> RunDifference:
    return difference(read_run(first), read_run(second), draws=200)


@pytest.mark.parametrize("plan", ["a: [", "- a", "a: 2020-99-99"])
def test_a_plan_that_is_damaged_is_no_plan_without_a_difference(tmp_path: Path, plan: str) -> None:
    damaged = run(tmp_path / "b")
    (damaged / "plan.yaml").write_text(plan)
    (found,) = compared(run(tmp_path / "a"), damaged).settings
    assert found == Differing("plan.yaml", "can be read", None)


def test_a_run_differs_in_nothing_from_itself_written_elsewhere(tmp_path: Path) -> None:
    found = compared(run(tmp_path / "a"), run(tmp_path / "b", plan={"output": "runs/b"}))
    assert (found.settings, found.versions, found.data) == ((), (), ())
    assert found.same_until == "2-tax"
    assert [(p.change.value, p.lost, p.gained, p.p_value) for p in found.tasks] == [
        (0, 0, 0, 1)
    ] * 2


def test_settings_are_told_by_their_keys_methods_and_tasks_by_their_names(tmp_path: Path) -> None:
    replay = {"name": "replay", "options": {"ratio": 0.1}}
    other = {
        "methods": [{"name": "sequential", "options": {}}, replay],
        "training": {"seed": 1, "epochs": 3},
        "sequence": [PLAN["sequence"][1], {"name": "law", "train": "new.jsonl"}],
    }
    found = compared(run(tmp_path / "a"), run(tmp_path / "b", plan=other))
    assert set(found.settings) == {
        Differing("sequence.law.train", "law.jsonl", "new.jsonl"),
        Differing("methods.sequential", None, "named"),
        Differing("methods.replay.ratio", None, 0.1),
        Differing("training.seed", 0, 1),
    }


def test_other_rows_under_the_same_name_are_told_by_their_fingerprint(tmp_path: Path) -> None:
    first = run(tmp_path / "a", train_sha256="1" * 64)
    second = run(tmp_path / "b", train_sha256="2" * 64)
    assert compared(first, second).data == (
        Differing("law: training rows", "400 (111111111111)", "400 (222222222222)"),
    )


def test_the_stage_at_which_the_runs_part_is_named(tmp_path: Path) -> None:
    first = run(tmp_path / "a")
    assert compared(first, run(tmp_path / "b", fingerprints="abx")).same_until == "1-law"
    assert compared(first, run(tmp_path / "c", fingerprints="xbc")).same_until is None
    assert compared(first, run(tmp_path / "d", fingerprints="")).same_until is None


def test_lost_and_gained_are_counted_from_the_first_run_to_the_second(tmp_path: Path) -> None:
    # In the fake run the right items are the first of each ten: 8 of them, then 3 of those 8.
    found = compared(run(tmp_path / "a", 0.8), run(tmp_path / "b", 0.3))
    law = found.tasks[0]
    assert (law.task, law.first, law.second, law.lost, law.gained) == ("law", 0.8, 0.3, 5, 0)
    assert law.change.value == pytest.approx(-0.5)
    assert law.p_value == mcnemar(lost=5, gained=0)
    back = compared(tmp_path / "b", tmp_path / "a").tasks[0]
    assert (back.lost, back.gained) == (0, 5)


def test_an_unfinished_run_is_compared_at_the_last_stage_that_both_have_reached(
    tmp_path: Path,
) -> None:
    found = compared(run(tmp_path / "a", 0.8), run(tmp_path / "b", 0.3, done=2))
    assert found.rows == ("1-law", "1-law")
    assert [pair.change.value for pair in found.tasks] == [0, 0]


def test_items_that_only_share_their_number_are_not_paired(tmp_path: Path) -> None:
    first, second = run(tmp_path / "a", 0.8), run(tmp_path / "b", 0.3)
    file = second / "stages" / "2-tax" / "scores.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for row in rows[:4]:  # the first four of law, all right in the first run, are other questions
        row["prompt"] = f"other {row['item']}"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    law = compared(first, second).tasks[0]
    assert law.items == 6
    assert (law.lost, law.gained) == (4, 0)
    for row in rows[:10]:
        row["gold"] = "something else"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    law = compared(first, second).tasks[0]
    assert (law.lost, law.change.value) == (None, None)
    assert law.reason == "the runs have no test item of 'law' in common"


def note_groups(run: Path, groups: dict[str, str]) -> Path:
    """The run, as if the file of law had named these groups."""
    for file in run.glob("stages/*/scores.jsonl"):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for row in rows:
            if row["task"] == "law":
                row["group"] = groups.get(row["item"], "")
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return run


@pytest.mark.parametrize(
    ("noted", "later", "p_value"),
    [
        ((), ((range(10), "all"),), 1),
        # one group of what either run names: of ten items five flip, all of them in it
        (((range(3), "a"), (range(3, 10), "b")), ((range(2, 6), "b"),), 1),
    ],
)
def test_a_group_that_either_run_notes_flips_as_one_in_both_orders(
    tmp_path: Path, noted: Any, later: Any, p_value: float
) -> None:
    def name(parts: Any) -> dict[str, str]:
        return {ids[n]: group for numbers, group in parts for n in numbers}

    first, second = run(tmp_path / "a", 0.8), run(tmp_path / "b", 0.3)
    ids = list(read_run(first).matrix.cell(0, "law").scores)
    note_groups(first, name(noted))
    note_groups(second, name(later))
    there, back = compared(first, second).tasks[0], compared(second, first).tasks[0]
    assert (there.lost, back.gained) == (5, 5)
    assert there.p_value == back.p_value == p_value
    ours, theirs = there.change.interval, back.change.interval
    assert ours is not None
    assert theirs is not None
    assert (ours.low, ours.high) == pytest.approx((-theirs.high, -theirs.low), abs=0.02)


def test_a_task_of_one_run_alone_is_told_among_the_data(tmp_path: Path) -> None:
    write_run(
        tmp_path / "b", [FakeTask("law", [0.1, 0.8, 0.3], 1, items=10)], stages=["base", "law", "x"]
    )
    found = compared(run(tmp_path / "a"), tmp_path / "b")
    assert [pair.task for pair in found.tasks] == ["law"]
    assert Differing("tax: test items", "10", None) in found.data


def test_graded_scores_have_a_change_and_no_flips(tmp_path: Path) -> None:
    for name, end in (("a", -2.0), ("b", -2.5)):
        write_run(tmp_path / name, [FakeTask("prose", [-2.9, end], 1, items=11, unit="nats")])
    (pair,) = compared(tmp_path / "a", tmp_path / "b").tasks
    assert pair.change.value == pytest.approx(-0.5)
    assert (pair.lost, pair.gained) == (None, None)
    assert "only items that are right (1) or wrong (0) can flip" in str(pair.reason)
