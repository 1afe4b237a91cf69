"""Trackers get every step and every row of the score matrix once, over all stages and kills."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers.integrations import integration_utils

from forgetless.errors import PlanError, UsageError
from forgetless.plan import Plan, TrainingConfig, make_plan
from forgetless.progress import Progress
from forgetless.result import RunResult
from forgetless.sequence import run_sequence
from forgetless.training.trackers import Trackers
from tests.integration.conftest import MakePlan, settings

accumulation = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

TRACKED: dict[str, Any] = {
    "methods": [{"ewc": {"strength": 10.0}}],
    "training": {"report_to": ["tensorboard"], "checkpoint_every": 2, "warmup": 0},
}
Logged = dict[str, list[tuple[int, float]]]
STEPS = 6  # of each stage: 12 rows, 4 a step, 2 epochs


class Killed(Exception):
    """Stands for a kill: nothing of the run goes on after it."""


class KilledAt(Progress):
    """Kills the run after a number of optimiser steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def trained(self, step: int, steps: int, loss: float) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


def logged(plan: Plan) -> Logged:
    """Step and value of every event of every scalar, as TensorBoard itself reads them."""
    events = accumulation.EventAccumulator(str(Path(plan.output) / "tensorboard"))
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def near(events: list[tuple[int, float]]) -> Any:
    """The same steps, and values to single precision."""
    return [(step, pytest.approx(value)) for step, value in events]


@pytest.fixture(scope="module")
def tracked(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunResult, Logged]:
    """A run that nothing stopped, and what TensorBoard holds of it."""
    made = make_plan(settings(data, tmp_path_factory.mktemp("tracked") / "run", **TRACKED))
    return run_sequence(made), logged(made)


def test_tensorboard_holds_the_matrix_forgetting_and_the_pulls_of_every_stage(
    tracked: tuple[RunResult, Logged],
) -> None:
    result, found = tracked
    matrix = result.matrix
    ends = [0, STEPS, 2 * STEPS]  # rows stand at the step at which their stage ended
    for task in ("first", "second", "choices"):
        rows = [(ends[row], matrix.score(row, task)) for row in range(3)]
        assert found[f"eval/score/{task}"] == near(rows)
    forgot = max(matrix.score(0, "first"), matrix.score(1, "first")) - matrix.score(2, "first")
    assert found["eval/forgetting/first"] == near([(ends[2], forgot)])
    assert [step for step, _ in found["eval/average_accuracy"]] == ends[1:]

    assert [step for step, _ in found["train/loss"]] == list(range(1, 2 * STEPS + 1))
    # EWC pulls in the second stage alone, from its second step on:
    # in the first nothing has moved.
    steps = [step for step, _ in found["train/pull_norm"]]
    assert steps == list(range(STEPS + 2, 2 * STEPS + 1))
    mean = sum(value for _, value in found["train/pull_norm"]) / len(steps)
    assert found["eval/pull_norm"] == near([(ends[2], mean)])
    manifest = json.loads((result.path / "manifest.json").read_text())
    assert [e["training"] and e["training"]["pull_norm"] for e in manifest["stages"]] == [
        *(None, None, pytest.approx(mean))
    ]
    last = manifest["stages"][2]["training"]["final_loss"]
    assert found["train/loss"][-1][1] == pytest.approx(last)


def test_trackers_decide_no_result(plan: MakePlan) -> None:
    tracked = plan("run", training={"report_to": ["tensorboard"]})
    assert tracked.fingerprint() == plan("run").fingerprint()


@pytest.mark.parametrize("attempts", [(3,), (STEPS, 5)], ids=["once", "twice"])
def test_a_run_that_was_killed_tells_nothing_twice(
    tracked: tuple[RunResult, Logged],
    plan: MakePlan,
    attempts: tuple[int, ...],
) -> None:
    _, whole = tracked
    made = plan("killed", **TRACKED)
    for steps in attempts:  # the next goes on from the checkpoint before, and takes some again
        with pytest.raises(Killed):
            run_sequence(made, KilledAt(steps))
    run_sequence(made)
    assert logged(made) == whole
    run_sequence(made)  # a finished run has nothing left to tell
    assert logged(made) == whole


def test_a_tracker_that_is_unknown_or_not_installed_is_refused_before_anything_starts(
    plan: MakePlan,
) -> None:
    with pytest.raises(PlanError, match=r"training\.report_to\.0: found str 'tensorbord'"):
        plan("unknown", training={"report_to": ["tensorbord"]})
    made = plan("absent", training={"report_to": ["dvclive"]})
    with pytest.raises(PlanError, match="dvclive is not installed") as refused:
        run_sequence(made)
    assert refused.value.fix == "pip install dvclive"
    assert not Path(made.output).exists()


def test_a_tracker_that_does_not_open_is_named_with_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("tensorboard is too old")

    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "tensorboard", broken)
    with pytest.raises(UsageError) as refused:
        Trackers(["tensorboard"], tmp_path, TrainingConfig(), "cpu")
    assert refused.value.message == "training.report_to: tensorboard is too old"
    assert refused.value.fix == "pip install tensorboard"
