"""``forgetless init``: a plan that runs, and nothing overwritten."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest

from forgetless.plan import load_plan
from tests.cli.conftest import Forgetless
from tests.tiny import build_model


def test_the_plan_written_is_accepted_by_a_dry_run(
    forgetless: Forgetless, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_model(data / "model", context=1024)
    capsys.readouterr()  # transformers draws a bar
    code, out, err = forgetless("init", "first.jsonl", "second.jsonl", "--model", "model")
    assert (code, err) == (0, "")
    *warnings, wrote, then = out.splitlines()
    assert [line[:38] for line in warnings] == [
        "warning: task 'first': few test items:",
        "warning: task 'second': few test items",
    ]
    assert wrote == "wrote plan.yaml"
    assert then == "check it:  forgetless run plan.yaml --dry-run"
    code, out, err = forgetless("run", "plan.yaml", "--dry-run")
    assert (code, err) == (0, "")
    assert "1-first" in out
    assert "2-second" in out


def test_json_holds_the_plan_as_it_is_understood(forgetless: Forgetless, data: Path) -> None:
    code, out, err = forgetless("init", "first.jsonl", "--model", "org/name", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["path"] == "plan.yaml"
    assert found["plan"] == load_plan(data / "plan.yaml").resolved()
    assert [warning[:38] for warning in found["warnings"]] == [
        "task 'first': few test items: figures "
    ]


def test_test_only_data_and_the_model_find_their_place(forgetless: Forgetless, data: Path) -> None:
    forgetless(
        *("init", "first.jsonl", "--test-only", "second.jsonl"),
        *("--test-only", "bundled:general_knowledge", "--model", "org/name", "-o", "new/p.yaml"),
    )
    plan = load_plan(data / "new" / "p.yaml")
    assert plan.model.name == "org/name"
    assert [Path(str(task.train)).resolve() for task in plan.sequence] == [data / "first.jsonl"]
    assert [task.name for task in plan.test_only] == ["second", "general_knowledge"]


GERMAN = "frage,antwort\n" + "".join(f"Frage {n},Antwort {n}\n" for n in range(20))


def test_other_names_of_columns_stand_in_the_plan_of_the_data_that_has_them(
    forgetless: Forgetless, data: Path
) -> None:
    (data / "german.csv").write_text(GERMAN)
    asked = ("init", "german.csv", "first.jsonl", "--test-only", "bundled:general_knowledge")
    ended = forgetless(*asked, "--fields", "prompt=frage, completion=antwort")
    assert (ended.code, ended.err) == (0, "")
    german, first, general = load_plan(data / "plan.yaml").tasks
    assert german.fields == {"prompt": "frage", "completion": "antwort"}
    assert first.fields == general.fields == {}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ((), "fix: say which is which:  --fields prompt=your_column,completion=another"),
        (("prompt=frge,completion=antwort",), "fields names the column 'frge', which is not there"),
        (("frage=prompt",), "fields maps 'frage', which is not one of our field names"),
        (("prompt",), "--fields prompt: found 'prompt', needed OURS=COLUMN"),
        (("prompt=,a=b",), "--fields prompt=,a=b: found 'prompt=', needed OURS=COLUMN"),
    ],
)
def test_columns_that_are_not_named_are_refused_with_the_way_to_name_them(
    forgetless: Forgetless, data: Path, fields: tuple[str, ...], said: str
) -> None:
    (data / "german.csv").write_text(GERMAN)
    code, _, err = forgetless("init", "german.csv", *(f"--fields={text}" for text in fields))
    assert code == 2
    assert said in err
    assert not (data / "plan.yaml").exists()


def test_a_plan_that_is_there_is_never_overwritten(forgetless: Forgetless, data: Path) -> None:
    (data / "plan.yaml").write_text("mine")
    code, out, err = forgetless("init", "first.jsonl")
    assert (code, out) == (2, "")
    assert err == "error: plan.yaml: is there already\n  fix: name another file with  -o\n"
    assert (data / "plan.yaml").read_text() == "mine"


@pytest.mark.parametrize("source", ["none.jsonl", "bundled:none"])
def test_data_that_cannot_be_used_leaves_no_plan(
    forgetless: Forgetless, data: Path, source: str
) -> None:
    code, out, err = forgetless("init", source, "-o", "new/plan.yaml")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {source}: no such")
    assert not (data / "new").exists()


def test_a_place_that_cannot_be_written_is_refused(forgetless: Forgetless, data: Path) -> None:
    code, out, err = forgetless("init", "first.jsonl", "-o", "second.jsonl/plan.yaml")
    assert (code, out) == (2, "")
    assert err.startswith("error: second.jsonl/plan.yaml: cannot be written: ")
    assert err.endswith("\n  fix: name another file with  -o\n")


def test_files_of_one_name_are_told_apart_by_names_before_them(
    forgetless: Forgetless, data: Path
) -> None:
    for folder, name in (("d1", "first"), ("d2", "second")):
        (data / folder).mkdir()
        (data / f"{name}.jsonl").rename(data / folder / "train.jsonl")
    files = ["d1/train.jsonl", "d2/train.jsonl"]
    refused = forgetless("init", *files, "--model", "org/name")
    assert "two tasks are named 'train'" in refused.err
    assert "OTHER=FILE" in refused.err
    given = [files[0], f"other={files[1]}", "--test-only", f"third={files[0]}"]
    assert forgetless("init", *given, "--model", "org/name").code == 0
    plan = load_plan(data / "plan.yaml")
    assert [task.name for task in (*plan.sequence, *plan.test_only)] == ["train", "other", "third"]
    assert plan.sequence[1].train == str(data / files[1])


def test_a_plan_written_through_a_link_to_a_folder_finds_its_data(
    forgetless: Forgetless, data: Path
) -> None:
    (data / "deep" / "real").mkdir(parents=True)
    (data / "link").symlink_to(data / "deep" / "real")
    assert forgetless("init", "first.jsonl", "--model", "org/name", "-o", "link/p.yaml").code == 0
    (task,) = load_plan(Path("link/p.yaml")).sequence
    assert task.train is not None
    assert Path(task.train).resolve() == data / "first.jsonl"


def test_the_command_to_check_a_plan_can_be_pasted(forgetless: Forgetless, data: Path) -> None:
    out = forgetless("init", "first.jsonl", "--model", "org/name", "-o", "my plans/p.yaml").out
    command = out.splitlines()[-1].partition(":")[2]
    assert shlex.split(command) == ["forgetless", "run", "my plans/p.yaml", "--dry-run"]


def test_a_name_that_no_plan_can_hold_is_refused(forgetless: Forgetless, data: Path) -> None:
    code, _, err = forgetless("init", os.fsdecode(b"\xff.csv"), "--model", "org/name")
    assert (code, err.splitlines()[0]) == (
        2,
        "error: '\\udcff.csv': a name that is not UTF-8, which a plan is",
    )
    assert not [*data.glob("*plan*")]
