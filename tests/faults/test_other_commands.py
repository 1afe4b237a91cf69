"""What is not a run survives kills as well: audits, saved models, comparisons."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from forgetless.auditing.audit import audit
from forgetless.auditing.result import Audit
from forgetless.models.save import save_stage_model
from forgetless.progress import Progress
from tests.faults.experiment import contents, small_plan
from tests.faults.moments import hit_at, moments_of
from tests.training.build import fresh

pytestmark = pytest.mark.system

KILLED = -signal.SIGKILL


@pytest.mark.parametrize(
    "share", [0.6, *(pytest.param(share, marks=pytest.mark.slow) for share in (0.3, 0.9))]
)
def test_an_audit_killed_while_asking_asks_only_the_rest_and_finds_the_same(
    share: float, tiny_model: Path, small_data: Path, tmp_path: Path
) -> None:
    def audited(store: Path, progress: Progress | None = None) -> Audit:
        tasks = [str(small_data / f"{name}_test.jsonl") for name in ("first", "second")]
        tuned = str(small_data / "loaded" / "stages" / "1-first" / "adapter")
        return audit(
            str(tiny_model), tuned, tasks=tasks, device="cpu", store=store, progress=progress
        )

    whole = audited(tmp_path / "whole.sqlite")
    store = tmp_path / "killed.sqlite"
    seen = moments_of(tmp_path, lambda watch: (audited(store, watch), None)[1])
    store.unlink()
    asking = [number for number, what in enumerate(seen, start=1) if what == "scoring"]
    at = asking[int(share * len(asking))]
    assert hit_at(at, tmp_path, lambda watch: (audited(store, watch), None)[1]) == KILLED
    again = audited(store)
    asked = [sum(cost.asked for cost in found.costs.values()) for found in (whole, again)]
    assert 0 < asked[1] < asked[0]
    assert again.items == whole.items
    assert again.comparisons == whole.comparisons


def test_a_kill_while_a_model_is_saved_over_another_leaves_one_of_them_or_none(
    tiny_model: Path, tmp_path: Path
) -> None:
    old, new = fresh(tiny_model), fresh(tiny_model)
    for parameter in new.model.parameters():
        parameter.data += 1

    def saved(loaded: Any, stage: Path) -> dict[str, str]:
        save_stage_model(loaded.model, loaded.tokenizer, stage)
        return contents(stage / "model")

    before, after = (saved(one, tmp_path / name) for one, name in ((old, "old"), (new, "new")))
    place = tmp_path / "place"
    shutil.copytree(tmp_path / "old", place)
    moments = moments_of(place, lambda _: (saved(new, place), None)[1])
    assert len(moments) > 20
    for at in range(1, len(moments) + 1):
        shutil.rmtree(place)
        shutil.copytree(tmp_path / "old", place)
        assert hit_at(at, place, lambda _: (saved(new, place), None)[1]) == KILLED
        if (place / "model").exists():
            assert contents(place / "model") in (before, after), moments[at - 1]
        assert saved(new, place) == after
        assert [file.name for file in place.iterdir()] == ["model"]


def gone(process: int, within: float) -> bool:
    """Whether a process ends within some seconds."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_comparison_that_is_ended_leaves_no_worker_and_goes_on(
    number: signal.Signals, small_data: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(small_plan(small_data, tmp_path / "out").to_yaml())
    command = [sys.executable, "-m", "forgetless", "compare", str(plan), "--rates", "3e-3"]
    command += ["--methods", "replay(ratio=0.3)", "-q"]
    runs = tmp_path / "out" / "runs"
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while len(list(runs.glob("*/manifest.json"))) < 2:  # the second run is under way
            assert process.poll() is None
            time.sleep(0.02)
        workers = [int(child) for child in children(process.pid)]
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert workers
    assert all(gone(worker, within=10) for worker in workers)
    if number == signal.SIGTERM:
        assert process.returncode == 143
        assert "  fix: run the same command to continue\n" in said
        assert "Traceback" not in said
    finished = {file: file.stat().st_mtime_ns for file in runs.glob("*/measured.json")}
    assert finished
    subprocess.run(command, check=True)
    assert {file: file.stat().st_mtime_ns for file in finished} == finished
    arms = json.loads((tmp_path / "out" / "compare.json").read_text())["arms"]
    assert [arm["failed"] for arm in arms] == [None, None, None]


def children(process: int) -> list[str]:
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()
