"""What a chain of jobs costs: nothing is asked twice, however long the chain."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forgetless.evaluation import store
from forgetless.evaluation.result import ItemResult
from forgetless.evaluation.scorer import score_task
from forgetless.plan import MethodSpec, TrainingConfig, make_plan
from forgetless.sequence import run_sequence
from forgetless.serving.config import ServerConfig
from forgetless.serving.jobs import FineTuneJob
from forgetless.serving.training import plan_of
from tests.serving.build import as_chat, lines
from tests.tiny import colours, write_rows

pytestmark = pytest.mark.system

JOBS = 4


def chain_of(count: int) -> list[FineTuneJob]:
    """Jobs, each from the model of the one before."""
    return [
        FineTuneJob(
            id=f"job-{number}",
            created_at=number,
            model="tiny",
            training_file=f"file-{number}",
            validation_file=f"test-{number}",
            hyperparameters={"n_epochs": 1, "batch_size": 4, "learning_rate_multiplier": 1.0},
            seed=0,
            user_provided_suffix=None,
            metadata=None,
            parent=f"job-{number - 1}" if number else None,
            task=f"task-{number}",
        )
        for number in range(count)
    ]


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(MethodSpec(name="replay"), id="replay"),
        pytest.param(
            MethodSpec(name="l2sp", options={"anchor": "base"}), id="l2sp", marks=pytest.mark.slow
        ),
    ],
)
def test_each_item_is_asked_once_of_each_model_of_a_chain(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: MethodSpec
) -> None:
    """Also where a method has to see all stages trained again, to the same weights."""
    asked: Counter[tuple[str, str]] = Counter()

    def counted(*arguments: Any) -> Iterator[list[ItemResult]]:
        for results in score_task(*arguments):
            asked.update((result.task, result.item) for result in results)
            yield results

    monkeypatch.setattr(store, "score_task", counted)
    training = TrainingConfig(batch_size=4, learning_rate=3e-3, device="cpu")
    config = ServerConfig(str(tiny_model), tmp_path, methods=(method,), training=training)
    chain = chain_of(JOBS)
    files = {}
    for number, job in enumerate(chain):
        rows = [as_chat(row) for row in colours(number)]
        files[job.training_file] = write_rows(tmp_path / f"train-{number}.jsonl", rows)
        files[str(job.validation_file)] = write_rows(tmp_path / f"test-{number}.jsonl", rows[:5])
    told = []
    for number, job in enumerate(chain):
        plan = plan_of(job, chain[: number + 1], files, config)
        made = make_plan(plan | {"output": str(tmp_path / job.id)}, "job")
        before = [] if job.parent is None else [tmp_path / job.parent]
        run_sequence(made, None, before)
        told.append(sum(asked.values()))

    assert set(asked.values()) == {JOBS + 1}  # the untouched model and one a job
    # Of the n-th job: its own model on all n tasks, its new task on the n older models.
    items = [after - before for before, after in zip([0, *told], told, strict=False)]
    assert items == [5 * 2 * n for n in range(1, JOBS + 1)]
    last = lines(tmp_path / chain[-1].id / "stages" / f"{JOBS}-task-{JOBS - 1}" / "scores.jsonl")
    assert len(last) == 5 * JOBS
    matrix = json.loads((tmp_path / chain[-1].id / "matrix.json").read_text())
    assert not matrix.get("missing")
