"""``forgetless run --dry-run``: everything checked, no weights read, nothing written."""

from __future__ import annotations

import json
import shutil
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from forgetless.estimate import estimate
from forgetless.plan import load_plan
from tests.cli.conftest import Forgetless


def listing(folder: Path) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns for file in folder.rglob("*")}


def test_nothing_is_written(forgetless: Forgetless, plan: Path) -> None:
    before = listing(plan.parent)
    assert forgetless("run", plan, "--dry-run").code == 0
    assert listing(plan.parent) == before


def test_no_weights_are_read(forgetless: Forgetless, plan: Path, tiny_model: Path) -> None:
    whole = json.loads(forgetless("run", plan, "--dry-run", "--json").out)
    damaged = plan.parent / "damaged"
    shutil.copytree(tiny_model, damaged)
    (damaged / "model.safetensors").write_bytes(b"not weights")
    code, out, _ = forgetless("run", plan, "--dry-run", "--json", "--set", f"model={damaged}")
    assert code == 0
    found = json.loads(out)
    for stage in (*found["stages"], *whole["stages"]):
        stage.pop("seconds")
    assert found == whole


def test_json_holds_the_whole_estimate(forgetless: Forgetless, plan: Path) -> None:
    code, out, err = forgetless("run", plan, "--dry-run", "--json")
    assert (code, err) == (0, "")
    found, expected = json.loads(out), estimate(load_plan(plan)).to_json()
    assert set(found) == set(expected)
    assert [stage["tokens"] for stage in found["stages"]] == [
        stage["tokens"] for stage in expected["stages"]
    ]


def test_tables_show_rows_tokens_and_steps(forgetless: Forgetless, plan: Path) -> None:
    code, out, err = forgetless("run", plan, "--dry-run")
    assert (code, err) == (0, "")
    _, second = estimate(load_plan(plan)).stages
    (line,) = [line for line in out.splitlines() if "2-second" in line]
    assert [cell.strip() for cell in line.strip("│").split("│")][:5] == [
        *("2-second", str(second.rows), str(second.tokens)),
        *(f"{second.replayed_tokens / second.tokens:.1%}", str(second.steps)),
    ]
    (line,) = [line for line in out.splitlines() if "│ first" in line]
    assert [cell.strip() for cell in line.strip("│").split("│")] == [
        *("first", "18", "2", "exact_match", "chat")
    ]
    assert out.endswith("nothing was trained and nothing was written\n")


def test_a_terminal_that_knows_only_ascii_shows_what_it_can(
    plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forgetless.cli import main

    stream = TextIOWrapper(BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "argv", ["forgetless", "run", str(plan), "--dry-run"])
    with pytest.raises(SystemExit) as ended:
        main()
    stream.seek(0)
    assert ended.value.code == 0
    assert stream.read().endswith("nothing was trained and nothing was written\n")


def test_warnings_about_the_data_are_shown(forgetless: Forgetless, plan: Path) -> None:
    test = f"sequence.0.test={plan.parent / 'first.jsonl'}"
    out = forgetless("run", plan, "--dry-run", "--set", test).out
    expected = (
        "warning: task 'first': 20 of 20 test items also occur in training: its score shows "
        "memory, not skill"
    )
    assert expected in " ".join(out.split())


def test_overrides_reach_the_estimate(forgetless: Forgetless, plan: Path) -> None:
    out = forgetless(
        "run", plan, "--dry-run", "--json", "--set", "training.steps=3", "--set", "methods=[]"
    ).out
    found = json.loads(out)
    assert found["method"] == "sequential"
    assert [stage["steps"] for stage in found["stages"]] == [3, 3]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")],
)
def test_times_are_told_in_the_unit_that_suits_them(seconds: float, shown: str) -> None:
    from forgetless.cli.dry_run import _duration

    assert _duration(seconds) == shown


def test_sharded_weights_are_refused_where_the_run_would_refuse_them(
    forgetless: Forgetless, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    osf = "methods=[osf]"
    assert forgetless("run", plan, "--dry-run", "--set", osf).code == 0
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    assert forgetless("run", plan, "--dry-run").code == 0
    code, out, err = forgetless("run", plan, "--dry-run", "--set", osf)
    assert (code, out) == (2, "")
    assert err.startswith("error: methods: osf cannot work with sharded weights: after every step")
    assert "\n  fix: launch without FSDP" in err


def test_rows_that_lora_is_calibrated_with_are_looked_for(
    forgetless: Forgetless, plan: Path
) -> None:
    lora = "methods=[{lora: {init: corda, calibration: nowhere.jsonl}}]"
    code, _, err = forgetless("run", plan, "--dry-run", "--set", lora)
    assert (code, err.splitlines()[0]) == (2, f"error: {plan.parent}/nowhere.jsonl: no such file")
