"""A comparison on a Ray cluster of this machine comes to what local processes come to."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from forgetless.comparing.compare import compare
from forgetless.errors import UsageError
from forgetless.plan import make_plan
from tests.integration.conftest import data, settings

__all__ = ["data"]  # a fixture


def test_without_ray_the_extra_is_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    plan = make_plan(settings(data, tmp_path / "out"))
    with pytest.raises(UsageError, match="--on ray needs the package ray") as caught:
        compare(plan, "replay", on="ray")
    assert caught.value.fix == "pip install 'forgetless[ray]', or leave --on out"


def killed_once(runs: Path, killed: list[int]) -> None:
    """Kill the first process that is found to train a second stage."""
    deadline = time.monotonic() + 500
    while not killed and time.monotonic() < deadline:
        for training in runs.glob("*/stages/2-*/checkpoints"):
            holder = training.parents[2] / ".lock.json"
            try:
                pid = json.loads(holder.read_text())["pid"]
                os.kill(pid, signal.SIGKILL)
            except (OSError, ValueError):
                continue
            killed.append(pid)
            return
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra [ray]")
@pytest.mark.filterwarnings("ignore")  # ray's own
def test_comparison_survives_a_killed_worker(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    plans = {
        place: make_plan(settings(data, tmp_path / place, training={"epochs": 40}))
        for place in ("here", "ray")
    }
    killed: list[int] = []
    killer = threading.Thread(target=killed_once, args=(tmp_path / "ray" / "runs", killed))
    killer.start()
    spread = compare(plans["ray"], "replay(ratio=0.3)", rates=[3e-3], on="ray")
    killer.join()
    assert len(killed) == 1
    local = compare(plans["here"], "replay(ratio=0.3)", rates=[3e-3])
    for one, other in zip(spread.arms, local.arms, strict=True):
        assert (one.name, one.rate, one.failed) == (other.name, other.rate, None)
        scores = [
            json.loads((tmp_path / place / arm.run / "matrix.json").read_text())
            for place, arm in (("ray", one), ("here", other))
        ]
        assert scores[0] == scores[1]
