"""Plans carried out by two processes, and whether they come to what one process comes to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import forgetless
from forgetless.result import RunResult
from tests.integration.conftest import settings
from tests.tiny import colours, write_rows
from tests.training.build import distance

ROOT = Path(__file__).parents[2]
LAUNCH = [
    *(sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"),
    *("-m", "tests.integration.launched"),
]
QUIET = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}

FSDP2 = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}

KEPT = {"ratio": 0.3, "buffer": "balanced", "size": 8}
OWN = {"rows": 8, "max_new_tokens": 8, "min_tokens": 1, "min_distinct": 0.0, "start": "bos"}

PARTS: dict[str, list[Any]] = {  # each process holds a part of the weights
    "plain in parts": [],
    "protected in parts": [{"replay": KEPT}, "ewc", "l2sp", "ema"],
}
# At a rate of 1e-2 AdamW makes of other rounding up to 2e-4 of the weights' norm.
RATE, WITHIN = 3e-3, 1e-5

# What a plan needs that is refused before anything is loaded
NOWHERE: dict[str, Any] = {"model": "/nowhere", "sequence": ["/nowhere.jsonl"]}

Plans = dict[str, dict[str, Any]]


def plans_of(
    arms: Mapping[str, list[Any]], data: Path, folder: Path, learning_rate: float = 1e-2
) -> Plans:
    """A plan for every arm; the rows of a stage do not fill its last step."""
    # more items than a batch holds, so that both processes have some to score
    choices = [{"question": f"pick {i}", "choices": ["a", "b"], "answer": i % 2} for i in range(9)]
    write_rows(folder / "tests.jsonl", choices)
    write_rows(folder / "odd.jsonl", colours(0, count=11))
    training = {"epochs": 4, "batch_size": 2, "accumulation": 2, "learning_rate": learning_rate}
    made = {
        name: settings(data, folder / name, methods=methods, training=dict(training))
        for name, methods in arms.items()
    }
    for plan in made.values():
        plan["training"]["scoring_batch_size"] = 2
        plan["sequence"][0]["train"] = str(folder / "odd.jsonl")
        plan["test_only"] = [{"name": "choices", "test": str(folder / "tests.jsonl")}]
    return made


def carried_out(
    plans: Plans, folder: Path, told: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, RunResult]:
    """Every plan carried out by two processes, below a folder.

    Args:
        plans: By their names.
        folder: Where the runs go, and NAME-RANK.jsonl with what each process held.
        told: What a launcher would set, for those plans for which it would.
    """
    mine = {name: plan | {"output": str(folder / name)} for name, plan in plans.items()}
    launched = [plan | {"told": dict((told or {}).get(name, {}))} for name, plan in mine.items()]
    (folder / "plans.json").write_text(json.dumps(launched))
    done = subprocess.run(
        [*LAUNCH, str(folder / "plans.json")],
        cwd=ROOT,
        env=os.environ | QUIET,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: RunResult(Path(plan["output"])) for name, plan in mine.items()}


def killed_when(
    due: Callable[[Path], bool],
    plan: dict[str, Any],
    folder: Path,
    told: Mapping[str, str] | None = None,
) -> None:
    """A plan that two processes begin, of which the first is killed.

    Args:
        due: When, told the run folder.
        plan: Its output is there already if it goes on.
        folder: Where the plan's file is written.
        told: What a launcher would set.
    """
    (folder / "plans.json").write_text(json.dumps([plan | {"told": dict(told or {})}]))
    with subprocess.Popen(
        [*LAUNCH, str(folder / "plans.json")],
        cwd=ROOT,
        env=os.environ | QUIET,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as begun:
        run, deadline = Path(plan["output"]), time.monotonic() + 120
        while not due(run) and time.monotonic() < deadline:
            time.sleep(0.01)
        first = json.loads((run / ".lock.json").read_text())["pid"]
        os.kill(first, signal.SIGKILL)  # the launcher then stops the other
        assert begun.wait(60) != 0
    killed = json.loads((run / "manifest.json").read_text())
    assert killed["state"] == "running"


def killed_within_a_stage(
    plan: dict[str, Any],
    folder: Path,
    told: Mapping[str, str],
    going_on: Mapping[str, str] | None,
) -> tuple[RunResult, RunResult]:
    """A plan carried out at once, and begun by two processes and gone on with from a checkpoint.

    Args:
        plan: What to do.
        folder: Where the runs go.
        told: What a launcher would set for the two that begin.
        going_on: The same for two that go on with it; None: one process does.
    """
    plan["training"] |= {"checkpoint_every": 2}
    whole = forgetless.run(**plan | {"output": str(folder / "whole")})
    plan["output"] = str(folder / "run")
    sealed = "stages/2-*/checkpoints/checkpoint-*/complete.json"
    killed_when(lambda run: any(run.glob(sealed)), plan, folder, told)
    assert [*(folder / "run").glob(sealed)]
    if going_on is None:
        return whole, forgetless.run(**plan)
    return whole, carried_out({"run": plan}, folder, {"run": going_on})["run"]


def with_launcher(monkeypatch: pytest.MonkeyPatch, told: Mapping[str, str]) -> None:
    """What a launcher of two processes would set."""
    for variable, value in {"WORLD_SIZE": "2", "RANK": "0", **told}.items():
        monkeypatch.setenv(variable, value)


def assert_same(alone: RunResult, shared: RunResult, within: float = 1e-4) -> None:
    """Both learned from the same rows, and have the same scores and, nearly, the same weights.

    Args:
        alone: A run of one process.
        shared: The same by two.
        within: The distance of their weights, as a share of the weights' norm, at most.
    """
    assert shared.results.state == "finished"
    for one, two in zip(alone.results.stages, shared.results.stages, strict=True):
        rows = [result.path / "stages" / one.name / "train.jsonl" for result in (alone, shared)]
        assert two.index == 0 or rows[0].read_text() == rows[1].read_text()
        assert alone.results.scores[one.index] is not None
        for item, other in zip(
            alone.results.scores[one.index] or (), shared.results.scores[one.index] or (),
            strict=True,
        ):  # fmt: skip
            assert (item.task, item.item, item.score) == (other.task, other.item, other.score)
            assert item.readings == pytest.approx(other.readings, rel=within)
    pulls, others = (
        [(stage["training"] or {}).get("pull_norm") or 0.0 for stage in manifest["stages"]]
        for manifest in (
            json.loads((result.path / "manifest.json").read_text()) for result in (alone, shared)
        )
    )
    assert pulls == pytest.approx(others, rel=within)
    weights = [
        load_file(next(result.model_path().glob("*.safetensors"))) for result in (alone, shared)
    ]
    size = distance(weights[0], {name: tensor * 0 for name, tensor in weights[0].items()})
    assert distance(*weights) < within * size
