"""``forgetless show`` and ``forgetless diff``: folders of results told apart and read."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forgetless.comparing.result import Comparison
from forgetless.repairing.result import PointScored, RepairResult
from forgetless.report.audit import write_audit_report
from forgetless.report.comparison import read_comparison, render_comparison_json
from forgetless.report.repair import read_repair, render_repair_json
from tests.cli.conftest import Forgetless
from tests.report.audit.fake_audits import audit, verdicts
from tests.report.fake_runs import FakeTask, write_arms, write_run
from tests.report.test_comparison import found  # noqa: F401 - a comparison


@pytest.fixture
def repair() -> RepairResult:
    point = PointScored("0.6", 0.9, 0.0, {"law": 0.8})
    return RepairResult(
        status="repaired",
        reason="it keeps most",
        point=point,
        learned=("law",),
        lost=("tax",),
        kept={"law": 0.9},
        certificate=verdicts()[:1],
        frontier=(point,),
        asked=10,
        items={"law": 5},
        model="repaired/model",
    )


def files_below(folder: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*")}


def test_a_finished_run_is_shown_with_its_matrix_and_nothing_is_written(
    forgetless: Forgetless, tmp_path: Path
) -> None:
    plain, *_ = write_arms(tmp_path)
    before = files_below(tmp_path)
    code, out, err = forgetless("show", plain)
    assert (code, err) == (0, "")
    assert out.startswith(f"{plain}: a run of sequential, finished\n")
    assert "2 legal" in out
    assert "to go on" not in out
    assert files_below(tmp_path) == before
    shown = json.loads(forgetless("show", plain, "--json").out)
    assert (shown["kind"], shown["state"], shown["command"]) == ("run", "finished", None)
    assert shown["report"]["arms"][0]["title"] == "sequential"


def test_an_unfinished_run_says_how_to_go_on(forgetless: Forgetless, tmp_path: Path) -> None:
    tasks = [FakeTask("law", [0.1, 0.8], 1, items=10)]
    folder = write_run(tmp_path / "run", tasks, done=1)
    out = forgetless("show", folder).out
    assert "unfinished, no process works on it" in out
    assert "trained, not scored" in out
    assert out.endswith(f"\nto go on: forgetless run {folder / 'plan.yaml'}\n")
    begun = write_run(tmp_path / "begun", tasks, done=0, manifest={"stages": []})
    shown = json.loads(forgetless("show", begun, "--json").out)
    assert (shown["state"], shown["report"]) == ("running", None)


def test_a_run_is_called_the_same_wherever_its_state_is_told(
    forgetless: Forgetless, tmp_path: Path
) -> None:
    tasks = [FakeTask("law", [0.1, 0.8], 1, items=10)]
    folder = write_run(tmp_path / "run", tasks, done=1)
    killed = forgetless("show", folder).out
    assert "the run is not finished, 1 of 2 stages are done" in killed
    assert "running" not in killed
    who = {"pid": os.getpid(), "host": platform.node(), "since": "2026-03-01T09:00:00+00:00"}
    (folder / ".lock.json").write_text(json.dumps(who))
    held = forgetless("show", folder).out
    assert f"in use by process {os.getpid()}" in held
    assert "\nto go on once that process has ended: forgetless run" in held


def test_figures_that_nothing_has_yet_have_no_table(forgetless: Forgetless, tmp_path: Path) -> None:
    tasks = [FakeTask("law", [0.1, 0.8], 1, items=10)]
    told = forgetless("show", write_run(tmp_path / "run", tasks, done=1)).out
    assert "\nfigure" not in told
    assert "\n\n\n" not in told


def test_an_audit_is_shown_as_it_was_when_it_was_made(
    forgetless: Forgetless, tmp_path: Path
) -> None:
    write_audit_report(audit(), tmp_path)
    code, out, err = forgetless("show", tmp_path)
    assert (code, err) == (0, "")
    assert out.startswith("Budget broken")
    shown = json.loads(forgetless("show", tmp_path, "--json").out)
    assert (shown["kind"], shown["gate"]) == ("audit", "broken")


def test_a_comparison_is_read_back_whole(
    forgetless: Forgetless,
    tmp_path: Path,
    found: Comparison,  # noqa: F811
) -> None:
    (tmp_path / "compare.json").write_text(render_comparison_json(found))
    assert read_comparison(tmp_path) == found
    code, out, err = forgetless("show", tmp_path)
    assert (code, err) == (0, "")
    assert "Take <ewc>." in out
    assert json.loads(forgetless("show", tmp_path, "--json").out)["kind"] == "comparison"


@pytest.mark.parametrize(("taken", "whose"), [(True, "the model"), (False, "plain training's")])
def test_the_model_of_a_plan_that_nothing_recommends_is_called_what_it_is(
    forgetless: Forgetless,
    tmp_path: Path,
    found: Comparison,  # noqa: F811
    taken: bool,
    whose: str,
) -> None:
    shown = found if taken else replace(found, recommended=None)
    (tmp_path / "compare.json").write_text(render_comparison_json(shown))
    (tmp_path / "recommended.yaml").write_text("")  # as earlier versions wrote it, too
    assert f"\nto have {whose}" in forgetless("show", tmp_path).out


def test_a_comparison_that_was_killed_says_how_many_runs_it_has(
    forgetless: Forgetless, tmp_path: Path
) -> None:
    for name, done in (("a", True), ("b", False)):
        (tmp_path / "runs" / name).mkdir(parents=True)
        if done:
            (tmp_path / "runs" / name / "measured.json").write_text("{}")
    (tmp_path / "runs" / ".DS_Store").touch()
    out = forgetless("show", tmp_path).out
    assert "a comparison, unfinished: 1 run done, 1 begun" in out
    shown = json.loads(forgetless("show", tmp_path, "--json").out)
    assert (shown["finished"], shown["begun"]) == (["a"], ["b"])


def test_a_repair_is_read_back_whole(
    forgetless: Forgetless, tmp_path: Path, repair: RepairResult
) -> None:
    (tmp_path / "repair.json").write_text(render_repair_json(repair))
    assert read_repair(tmp_path) == repair
    out = forgetless("show", tmp_path).out
    assert out.startswith("Repaired (exit code 0): it keeps most.")
    assert json.loads(forgetless("show", tmp_path, "--json").out)["kind"] == "repair"


@pytest.mark.parametrize("name", ["compare.json", "repair.json", "audit.json", "manifest.json"])
def test_a_damaged_file_is_refused_by_its_name(
    forgetless: Forgetless, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text('{"format": 1}')
    code, out, err = forgetless("show", tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {tmp_path / name}: ")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ({"arms": []}, "'arms' is empty"),
        ({"by_seed": {"x": 0.5}}, "'arms[0].by_seed' has the key 'x', needed an integer"),
    ],
)
def test_a_comparison_that_cannot_be_shown_is_refused_with_the_place(
    forgetless: Forgetless,
    tmp_path: Path,
    found: Comparison,  # noqa: F811
    damage: dict[str, Any],
    told: str,
) -> None:
    file = tmp_path / "compare.json"
    document = json.loads(render_comparison_json(found))
    (document if "arms" in damage else document["arms"][0]).update(damage)
    file.write_text(json.dumps(document))
    code, out, err = forgetless("show", tmp_path)
    assert (code, out) == (2, "")
    assert err == f"error: {file}: {told}\n  fix: make it again: forgetless compare PLAN\n"


def test_a_folder_of_folders_names_one_of_them(forgetless: Forgetless, tmp_path: Path) -> None:
    write_arms(tmp_path)
    code, _, err = forgetless("show", tmp_path)
    assert code == 2
    assert err == (
        f"error: {tmp_path}: holds no run, audit, comparison or repair\n"
        f"  fix: forgetless show {tmp_path / 'ewc'}\n"
    )
    assert forgetless("show", tmp_path / "none").err.startswith(
        f"error: {tmp_path / 'none'}: no such folder"
    )


def test_diff_shows_scores_side_by_side_with_flips(forgetless: Forgetless, tmp_path: Path) -> None:
    plain, replay, *_ = write_arms(tmp_path)
    code, out, err = forgetless("diff", plain, replay)
    assert (code, err) == (0, "")
    (line,) = [line for line in out.splitlines() if line.startswith("medical ")]
    assert line.split()[:4] == ["medical", "0.00", "0.75", "+0.75"]
    assert "0/75" in line
    pairs = json.loads(forgetless("diff", plain, replay, "--json").out)["tasks"]
    assert pairs[0]["gained"] == 75


def test_diff_of_something_else_is_refused(forgetless: Forgetless, tmp_path: Path) -> None:
    write_audit_report(audit(), tmp_path / "audit")
    code, out, err = forgetless("diff", tmp_path / "audit", tmp_path / "audit")
    assert (code, out) == (2, "")
    assert "found no manifest.json" in err
