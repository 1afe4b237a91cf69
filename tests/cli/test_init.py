"""``forgetless init``: a plan that runs, and nothing overwritten."""

from __future__ import annotations

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


def test_test_only_data_and_the_model_find_their_place(forgetless: Forgetless, data: Path) -> None:
    forgetless(
        *("init", "first.jsonl", "--test-only", "second.jsonl"),
        *("--test-only", "bundled:general_knowledge", "--model", "org/name", "-o", "new/p.yaml"),
    )
    plan = load_plan(data / "new" / "p.yaml")
    assert plan.model.name == "org/name"
    assert [Path(str(task.train)).resolve() for task in plan.sequence] == [data / "first.jsonl"]
    assert [task.name for task in plan.test_only] == ["second", "general_knowledge"]


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
