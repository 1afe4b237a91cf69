"""The examples run as they stand, on a tiny model."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from forgetless.plan import load_plan
from forgetless.sequence import run_sequence

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]


def test_the_plan_for_own_data_runs(data: Path, tmp_path: Path) -> None:
    plan = load_plan(
        ROOT / "examples" / "own_data" / "plan.yaml",
        [f"model={data / 'model'}", f"output={tmp_path / 'run'}", "training.epochs=0.2"],
    )
    result = run_sequence(plan)
    assert [task.name for task in result.matrix.tasks] == ["units", "ship_terms", "general"]


def test_the_script_runs(data: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-W", "error", str(ROOT / "examples" / "from_python.py")),
            *("--model", str(data / "model"), "--output", str(tmp_path / "run"), "--rows", "4"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "forgetting:" in done.stdout
    assert (tmp_path / "run" / "report.html").is_file()


def test_the_script_for_sfttrainer_says_what_to_install_where_trl_is_not() -> None:
    script = str(ROOT / "examples" / "own_trainer" / "sft_trainer.py")
    without = f"import runpy, sys; sys.modules['trl'] = None; runpy.run_path({script!r})"
    done = subprocess.run(
        [sys.executable, "-c", without], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "this example needs trl:  pip install -c constraints.txt trl\n"


@pytest.mark.parametrize(
    "script", ["plain_trainer", pytest.param("sft_trainer", marks=pytest.mark.slow)]
)
def test_own_trainer_forgets_unless_it_is_protected(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(ROOT / "examples" / "own_trainer" / f"{script}.py")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    found = {
        name: [float(figure) for figure in figures]
        for name, *figures in re.findall(
            r"(plain|protected): cities (\S+) -> (\S+) after foods; foods (\S+)", done.stdout
        )
    }
    learned, kept, new = found["plain"]
    assert learned > 0.9
    assert kept < 0.3
    assert new > 0.9
    learned, kept, new = found["protected"]
    assert learned > 0.9
    assert kept > 0.9
    assert new > 0.9


@pytest.mark.slow
def test_a_guard_stops_the_forgetting_and_goes_back() -> None:
    script = ROOT / "examples" / "own_trainer" / "guarded_trainer.py"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    scores = [float(score) for score in re.findall(r"step +\d+: cities (\S+)", done.stdout)]
    now = re.search(r"now: cities (\S+), stopped at (\d+)", done.stdout)
    assert now is not None, done.stdout
    assert scores[0] > 0.9
    assert scores[-1] < 0.8
    assert float(now[1]) >= 0.8
    assert int(now[2]) == 5 * (len(scores) - 1)
