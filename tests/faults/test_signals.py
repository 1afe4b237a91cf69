"""SIGTERM and Ctrl-C stop a command cleanly and say how to go on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from forgetless.plan import Plan
from forgetless.training.trainer import StageTrainer
from tests.faults.commands import commanded
from tests.faults.experiment import carried_out, contents, small_plan
from tests.faults.moments import hit_at, in_child

pytestmark = pytest.mark.system

SAID = "error: stopped; what was finished is kept\n  fix: run the same command to continue\n"


@pytest.fixture
def plan(small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Three stages, also as a file, in a folder that is entered."""
    monkeypatch.chdir(tmp_path)
    made = small_plan(small_data, tmp_path / "run", ["ewc"])
    (tmp_path / "plan.yaml").write_text(made.to_yaml())
    return made


def stopped_cleanly(folder: Path) -> bool:
    return not (folder / "run" / ".lock.json").exists() and (folder / "err").read_text() == SAID


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_midst_of_a_step_stops_cleanly_and_the_run_ends_the_same(
    number: signal.Signals, code: int, plan: Plan, tmp_path: Path
) -> None:
    carried_out(plan)
    expected = contents(tmp_path / "run")
    shutil.rmtree(tmp_path / "run")

    def interrupted() -> None:
        compute = StageTrainer.compute_loss
        steps = 0

        def asked_to_stop(*given: Any, **named: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == 5:
                os.kill(os.getpid(), number)
            return compute(*given, **named)

        StageTrainer.compute_loss = asked_to_stop  # type: ignore[method-assign]
        commanded("run", "plan.yaml", "-q")()

    assert in_child(interrupted) == code
    assert stopped_cleanly(tmp_path)
    assert in_child(commanded("run", "plan.yaml", "-q")) == 0
    report = {file: text for file, text in contents(tmp_path / "run").items() if file in expected}
    assert report == expected


@pytest.mark.parametrize("at", [1, 90])
def test_a_signal_while_files_are_written_stops_cleanly(
    at: int, plan: Plan, tmp_path: Path
) -> None:
    command = commanded("run", "plan.yaml", "-q")

    def asked_to_stop() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    assert hit_at(at, tmp_path / "run", lambda _: command(), asked_to_stop) == 143
    assert stopped_cleanly(tmp_path)


def test_a_second_signal_ends_the_process_at_once(plan: Plan, tmp_path: Path) -> None:
    command = commanded("run", "plan.yaml", "-q")

    def asked_twice() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        except KeyboardInterrupt:
            os.kill(os.getpid(), signal.SIGINT)

    assert hit_at(40, tmp_path / "run", lambda _: command(), asked_twice) == -signal.SIGINT


def test_a_signal_that_was_turned_off_stays_so(plan: Plan, tmp_path: Path) -> None:
    """As Ctrl-C is for what a shell runs in the background."""
    command = commanded("run", "plan.yaml", "-q")

    def deaf(_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        command()

    def asked_to_stop() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    assert hit_at(40, tmp_path / "run", deaf, asked_to_stop) == 0


@pytest.mark.slow
def test_a_process_of_its_own_that_is_terminated_says_how_to_continue(
    plan: Plan, tmp_path: Path
) -> None:
    arguments = [sys.executable, "-m", "forgetless", "run", "plan.yaml", "-q"]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "run" / "stages" / "1-first").exists():
            time.sleep(0.01)
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert said == SAID
