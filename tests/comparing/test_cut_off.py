"""A run of a comparison that was cut off goes on after its last finished stage."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forgetless.comparing.clock import CostClock
from forgetless.comparing.runs import MEASURED, SPENT, Job, execute, finished
from tests.integration.conftest import data, settings

pytestmark = pytest.mark.system

__all__ = ["data"]  # a fixture


class _CutOff(Exception):
    pass


@pytest.fixture
def job(data: Path, tmp_path: Path) -> Job:
    plan: dict[str, Any] = settings(data, tmp_path)
    del plan["output"]
    return Job("run", plan)


def cut_off(job: Job, root: Path, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Carry a job out until the first step of a stage."""
    step = CostClock.trained

    def trained(clock: CostClock, *called: Any) -> None:
        step(clock, *called)
        if clock._stage == stage:
            raise _CutOff

    with monkeypatch.context() as patch:
        patch.setattr(CostClock, "trained", trained)
        with pytest.raises(_CutOff):
            execute(job, root, fresh=True)


def test_what_was_finished_is_not_done_again_and_comes_to_the_same(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole").mkdir()
    execute(job, tmp_path / "whole", fresh=True)
    cut_off(job, tmp_path, "2-second", monkeypatch)
    assert finished(job, tmp_path) is None
    first = tmp_path / "run" / "stages" / "1-first" / "scores.jsonl"
    before = first.stat().st_mtime_ns
    spent = json.loads((tmp_path / "run" / SPENT).read_text())["parts"]
    execute(job, tmp_path, fresh=True)
    assert first.stat().st_mtime_ns == before
    whole, found = finished(job, tmp_path / "whole"), finished(job, tmp_path)
    assert whole is not None
    assert found is not None
    assert found.report is not None
    assert whole.report is not None
    assert found.report.values == whole.report.values
    assert whole.peak_memory_mb is not None
    assert found.peak_memory_mb is None  # of one of its processes nothing is known
    # What the first process took for the first stage counts.
    parts = json.loads((tmp_path / "run" / MEASURED).read_text())["parts"]
    assert parts["1-first"]["training"] == spent["1-first"]["training"]


def test_what_another_plan_left_is_not_gone_on_with(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(job, tmp_path, "2-second", monkeypatch)
    other = Job("run", {**job.plan, "training": {**job.plan["training"], "learning_rate": 1e-3}})
    execute(other, tmp_path, fresh=True)
    found = finished(other, tmp_path)
    assert found is not None
    assert found.failed is None
    assert found.peak_memory_mb is not None


def test_what_was_made_of_other_data_is_made_again(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewritten = replace(job, data="as the files are now")
    cut_off(job, tmp_path, "2-second", monkeypatch)
    execute(rewritten, tmp_path, fresh=True)
    assert finished(job, tmp_path) is None
    found = finished(rewritten, tmp_path)
    assert found is not None
    assert found.peak_memory_mb is not None  # nothing was gone on from
