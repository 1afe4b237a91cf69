"""A plan carried out by two processes comes to what one process comes to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import forgetless
from forgetless.errors import PlanError, UsageError
from forgetless.plan import TrainingConfig
from forgetless.result import RunResult
from tests.integration.conftest import settings
from tests.tiny import colours, write_rows
from tests.training.build import distance

ROOT = Path(__file__).parents[2]
KEPT = {"ratio": 0.3, "buffer": "balanced", "size": 8}
OWN = {"rows": 8, "max_new_tokens": 8, "min_tokens": 1, "min_distinct": 0.0, "start": "bos"}

ARMS: dict[str, list[Any]] = {
    "plain": [],
    "replay": [{"replay": KEPT | {"select": "surprise"}}, "der", {"token_weights": {}}, "ema"],
    "coverage": [{"replay": KEPT | {"select": "coverage"}}, "kl", "sfa"],
    "self_replay": [{"self_replay": {"ratio": 0.2, **OWN}}, "ewc", {"merge": {"alpha": "search"}}],
    "agem": ["agem", "si", {"freeze": {"last": 1}}],
    "ogd": ["ogd", "l2sp"],
    "osf": ["osf"],
    "lora": ["lora", {"ewc": {"fisher": "sampled"}}],
    "olora": ["olora", {"on_policy_replay": {"ratio": 0.2, "max_new_tokens": 8}}],
    "joint": ["joint"],
}


LAUNCH = [
    *(sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"),
    *("-m", "tests.integration.launched"),
]
QUIET = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


@pytest.fixture(scope="module")
def plans(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """A plan for every arm; the rows of a stage do not fill its last step."""
    folder = tmp_path_factory.mktemp("launched")
    # more items than a batch holds, so that both processes have some to score
    choices = [{"question": f"pick {i}", "choices": ["a", "b"], "answer": i % 2} for i in range(9)]
    write_rows(folder / "tests.jsonl", choices)
    write_rows(folder / "odd.jsonl", colours(0, count=11))
    training = {"epochs": 8, "batch_size": 2, "accumulation": 2, "learning_rate": 1e-2}
    made = {
        name: settings(data, folder / name, methods=methods, training=dict(training))
        for name, methods in ARMS.items()
    }
    made["budget"] = settings(data, folder / "budget", methods="auto", training=dict(training))
    made["budget"] |= {"budget": "20%"}
    for plan in made.values():
        plan["training"]["scoring_batch_size"] = 2
        plan["sequence"][0]["train"] = str(folder / "odd.jsonl")
        plan["test_only"] = [{"name": "choices", "test": str(folder / "tests.jsonl")}]
    for task in (*made["budget"]["sequence"], *made["budget"]["test_only"]):
        task["test"] = str(folder / "many.jsonl")
    write_rows(folder / "many.jsonl", colours(0, count=16))
    return made


@pytest.fixture(scope="module")
def together(
    plans: Mapping[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, RunResult]:
    """Every plan carried out by two processes."""
    folder = tmp_path_factory.mktemp("together")
    mine = {name: plan | {"output": str(folder / name)} for name, plan in plans.items()}
    (folder / "plans.json").write_text(json.dumps([*mine.values()]))
    done = subprocess.run(
        [*LAUNCH, str(folder / "plans.json")],
        cwd=ROOT,
        env=os.environ | QUIET,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: RunResult(Path(plan["output"])) for name, plan in mine.items()}


@pytest.mark.parametrize("arm", [*ARMS, "budget"])
def test_two_processes_come_to_what_one_comes_to(
    arm: str, plans: Mapping[str, dict[str, Any]], together: Mapping[str, RunResult]
) -> None:
    alone, shared = forgetless.run(**plans[arm]), together[arm]
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
            assert item.readings == pytest.approx(other.readings, rel=1e-4)
    weights = [
        load_file(next(result.model_path().glob("*.safetensors"))) for result in (alone, shared)
    ]
    size = distance(weights[0], {name: tensor * 0 for name, tensor in weights[0].items()})
    assert distance(*weights) < 1e-4 * size


def test_nothing_is_left_of_what_processes_wrote_apart(together: Mapping[str, RunResult]) -> None:
    folder = together["plain"].path
    assert not list(folder.rglob("scores.part-*"))
    assert not (folder / ".lock.json").exists()


def test_rows_that_processes_cannot_share_are_refused_before_loading(
    plans: Mapping[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(PlanError, match=r"a step has 4 rows .* which 3 processes cannot share"):
        forgetless.run(**plans["plain"] | {"output": str(tmp_path / "run")})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("batch", "accumulation", "processes", "shared"),
    [(4, 4, 2, (4, 2)), (8, 1, 2, (4, 1)), (4, 3, 2, (3, 2)), (1, 8, 8, (1, 1)), (5, 1, 1, (5, 1))],
)
def test_a_step_learns_from_as_many_rows_however_many_share_them(
    batch: int, accumulation: int, processes: int, shared: tuple[int, int]
) -> None:
    config = TrainingConfig(batch_size=batch, accumulation=accumulation)
    assert config.batch_of(processes) == shared
    assert shared[0] * shared[1] * processes == config.rows_per_step
    assert shared[0] <= batch


def test_a_run_that_two_processes_began_is_finished_by_one(
    plans: Mapping[str, dict[str, Any]], together: Mapping[str, RunResult], tmp_path: Path
) -> None:
    plan = plans["plain"] | {"output": str(tmp_path / "run")}
    (tmp_path / "plans.json").write_text(json.dumps([plan]))
    with subprocess.Popen(
        [*LAUNCH, str(tmp_path / "plans.json")],
        cwd=ROOT,
        env=os.environ | QUIET,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as begun:
        stages, deadline = tmp_path / "run" / "stages", time.monotonic() + 120
        while not [*stages.glob("1-*/checkpoints")] and time.monotonic() < deadline:
            time.sleep(0.01)
        first = json.loads((tmp_path / "run" / ".lock.json").read_text())["pid"]
        os.kill(first, signal.SIGKILL)  # the launcher then stops the other
        assert begun.wait(60) != 0
    killed = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert killed["state"] == "running"
    finished = forgetless.run(**plan)
    for one, two in zip(finished.results.scores, together["plain"].results.scores, strict=True):
        assert one == two


def test_only_a_run_is_carried_out_by_several_processes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "forgetless", "report", str(tmp_path)],
        env=os.environ | QUIET | {"WORLD_SIZE": "2", "RANK": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "2 processes were launched, and only  forgetless run  shares its work" in done.stderr


@pytest.mark.parametrize("name", ["ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"])
def test_weights_in_parts_are_refused_before_loading(
    name: str, plans: Mapping[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in {"WORLD_SIZE": "2", "RANK": "0", name: "true"}.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match="gives each process a part of the weights"):
        forgetless.run(**plans["plain"] | {"output": str(tmp_path / "run")})
    assert not (tmp_path / "run").exists()
