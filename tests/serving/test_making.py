"""A server that starts again with another base or other settings passes no model off as its own."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from openai.types.fine_tuning import FineTuningJob
from starlette.testclient import TestClient

from forgetless.plan import MethodSpec, TrainingConfig, make_plan
from forgetless.serving import worker
from forgetless.serving.app import application
from forgetless.serving.config import ServerConfig
from forgetless.serving.files import StoredFile, content, stored_files
from forgetless.serving.jobs import FineTuneJob, Jobs
from forgetless.serving.making import check_goes_on, making
from forgetless.serving.training import plan_of
from forgetless.serving.worker import Worker
from tests.serving.build import Served
from tests.serving.test_jobs import JOBS, added
from tests.tiny import build_model

TRAINING = TrainingConfig(learning_rate=0.003, batch_size=4)


@pytest.fixture
def config(tiny_model: Path, tmp_path: Path) -> ServerConfig:
    """What the model ``ft:tiny`` was made with."""
    config = ServerConfig(str(tiny_model), tmp_path / "served", "tiny", training=TRAINING)
    files = stored_files(config.folder / "files")
    files.put(file := files.new_id(), StoredFile(file, 0, 1, "rows.jsonl", "fine-tune"))
    jobs = Jobs.kept_in(config.folder / "jobs")
    usual = {"n_epochs": 3, "batch_size": 4, "learning_rate_multiplier": 1.0}
    made = added(jobs, training_file=file, hyperparameters=usual, seed=0, task="one")
    made_with = making(jobs.records.get(made), config)
    jobs.change(
        made,
        only_if=(None,),  # type: ignore[arg-type]
        status="succeeded",
        fine_tuned_model="ft:tiny",
        made_with=made_with,
    )
    return config


def go_on(config: ServerConfig) -> Any:
    """Ask a server, started again, for a job that continues the model."""
    client = TestClient(application(config), "http://localhost")
    (file,) = client.get("/v1/files").json()["data"]
    return client.post(JOBS, json={"model": "ft:tiny", "training_file": file["id"]})


def wait_until(come: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not come():
        assert time.monotonic() < until
        time.sleep(0.01)


OTHER = "ft:tiny was made by a server with other settings: "


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"training": TrainingConfig(learning_rate=0.1, batch_size=4)},
            f"{OTHER}training.learning_rate was 0.003 and is 0.1. Start the server as it was, or "
            "the job from tiny",
        ),
        ({"hold_out": 0.2}, f"{OTHER}hold_out was 0.1 and is 0.2"),
        ({"methods": (MethodSpec(name="ewc"),)}, f"{OTHER}methods.0.name was 'replay' and is"),
    ],
)
def test_a_job_does_not_continue_what_the_server_would_make_otherwise(
    config: ServerConfig, changes: dict[str, Any], message: str
) -> None:
    said = go_on(replace(config, **changes))
    assert said.status_code == 400
    assert message in said.json()["error"]["message"]


def test_a_job_goes_on_under_settings_that_change_no_weights(
    config: ServerConfig, tmp_path: Path
) -> None:
    """The base is known by its weights; epochs are the chain's own."""
    shutil.copytree(config.model, tmp_path / "moved")
    training = TRAINING.model_copy(update={"checkpoint_every": 7, "epochs": 9.0})
    said = go_on(replace(config, model=str(tmp_path / "moved"), training=training))
    assert said.status_code == 200
    assert said.json()["hyperparameters"]["n_epochs"] == 3


def test_other_epochs_make_no_difference_to_what_is_trained_for_steps(
    config: ServerConfig,
) -> None:
    jobs = Jobs.kept_in(config.folder / "jobs")
    config = replace(config, training=TRAINING.model_copy(update={"steps": 50}))
    (made,) = jobs.records.all()
    made = replace(made, hyperparameters={**made.hyperparameters, "n_epochs": "auto"})
    jobs.records.put(made.id, replace(made, made_with=making(made, config)))
    training = config.training.model_copy(update={"epochs": 9.0})
    assert go_on(replace(config, training=training)).status_code == 200


def test_a_model_of_another_base_is_neither_asked_nor_continued(
    config: ServerConfig, tmp_path: Path
) -> None:
    other = replace(config, model=str(build_model(tmp_path / "other", seed=7)))
    client = TestClient(application(other), "http://localhost")
    asked = client.post("/v1/completions", json={"model": "ft:tiny", "prompt": "a"})
    for said in (asked, go_on(other)):
        assert said.status_code == 400
        assert said.json()["error"]["code"] == "other_base_model"
        assert f"ft:tiny was trained from {config.model}" in said.json()["error"]["message"]


def test_a_job_that_waited_for_a_server_of_other_settings_fails_and_says_so(
    config: ServerConfig,
) -> None:
    job = go_on(config).json()["id"]
    files, jobs = stored_files(config.folder / "files"), Jobs.kept_in(config.folder / "jobs")
    Worker(replace(config, hold_out=0.2), files, jobs)._work_on()
    failed = jobs.records.get(job)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error["code"] == "training_failed"
    assert "hold_out was 0.1 and is 0.2" in str(failed.error["message"])


@pytest.mark.parametrize("continues", [True, False])
def test_a_job_that_was_begun_otherwise_waits_with_its_run_and_the_next_is_trained(
    config: ServerConfig, caplog: pytest.LogCaptureFixture, *, continues: bool
) -> None:
    files, jobs = stored_files(config.folder / "files"), Jobs.kept_in(config.folder / "jobs")
    made, file = jobs.records.all()[0], files.all()[0].id
    fields = {"training_file": file, "hyperparameters": made.hyperparameters, "seed": 0}
    parent = made.id if continues else None
    job = added(jobs, status="running", task="two", parent=parent, **fields)
    jobs.change(job, made_with=made.made_with)
    (jobs.run_folder(job) / "stages").mkdir(parents=True)
    other = added(jobs, status="queued", task="one", **fields)
    working = Worker(replace(config, hold_out=0.2), files, jobs)
    working._work_on()
    jobs.tidy()
    found = jobs.records.get(job)
    assert (found.status, found.made_with, found.error) == ("queued", made.made_with, None)
    assert (jobs.run_folder(job) / "stages").exists()
    for said in (jobs.events(job)[-1]["message"], caplog.text):
        assert "hold_out was 0.1 and is 0.2" in said
        assert "The job waits" in said
    ready = jobs.next(working.waiting)
    assert ready is not None
    assert ready.id == other


def test_a_job_that_was_begun_goes_on_once_its_base_can_be_read_again(
    config: ServerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile it is looked at again, and says so once."""
    files, jobs = stored_files(config.folder / "files"), Jobs.kept_in(config.folder / "jobs")
    made, file = jobs.records.all()[0], files.all()[0].id
    fields = {"training_file": file, "hyperparameters": made.hyperparameters, "seed": 0}
    job = added(jobs, status="running", task="two", **fields)
    base = tmp_path / "base"
    assert made.made_with is not None
    begun = {**made.made_with, "base": {**made.made_with["base"], "name": str(base)}}
    jobs.change(job, made_with=begun)
    monkeypatch.setattr(worker, "REST_SECONDS", 0.01)
    looked: list[str] = []

    def counted(made: FineTuneJob, config: ServerConfig) -> None:
        looked.append(made.id)
        check_goes_on(made, config)

    monkeypatch.setattr(worker, "check_goes_on", counted)
    monkeypatch.setattr(
        Worker, "_listen", lambda _, job, *__: jobs.change(job, status="succeeded", task="gone on")
    )
    working = Worker(replace(config, model=str(base)), files, jobs)
    working.start()
    try:
        wait_until(lambda: len(looked) > 3)
        assert jobs.records.get(job).status == "queued"
        shutil.copytree(config.model, base)
        wait_until(lambda: jobs.records.get(job).task == "gone on")
    finally:
        working.end()
    assert [event["message"].partition(":")[0] for event in jobs.events(job)] == ["The job waits"]


def test_a_job_that_was_begun_in_a_folder_that_was_moved_begins_anew_and_says_so(
    tiny_model: Path, tmp_path: Path
) -> None:
    """Where the folder is as it was, its run stays."""
    old = ServerConfig(str(tiny_model), tmp_path / "old", "tiny", training=TRAINING)
    files, jobs = stored_files(old.folder / "files"), Jobs.kept_in(old.folder / "jobs")
    files.put(file := files.new_id(), StoredFile(file, 0, 1, "rows.jsonl", "fine-tune"))
    usual = {"n_epochs": 3, "batch_size": 4, "learning_rate_multiplier": 1.0}
    fields = {"training_file": file, "hyperparameters": usual, "seed": 0, "task": "one"}
    name = added(jobs, status="running", **fields)
    job = jobs.records.get(name)
    jobs.change(name, made_with=making(job, old))
    plan = plan_of(job, [job], {file: content(files, file)}, old)
    jobs.run_folder(name).mkdir()
    (jobs.run_folder(name) / "plan.yaml").write_text(make_plan(plan, "job").to_yaml())
    shutil.copytree(old.folder, tmp_path / "new")
    found: list[bool] = []
    for folder in (old.folder, tmp_path / "new"):
        config = replace(old, folder=folder)
        jobs = Jobs.kept_in(folder / "jobs")
        working = Worker(config, stored_files(folder / "files"), jobs)
        working._context = Mock()
        working._work_on()
        found.append(jobs.run_folder(name).exists())
        shutil.rmtree(old.folder, ignore_errors=True)
    assert found == [True, False]
    assert jobs.events(name)[0]["message"] == (
        "The server's folder was moved since this job was begun: it begins anew"
    )


def test_what_a_job_is_trained_with_is_kept_and_not_shown(
    served: Served, chain: tuple[FineTuningJob, FineTuningJob]
) -> None:
    record = served.config.folder / "jobs" / chain[1].id / "record.json"
    kept = json.loads(record.read_text())["made_with"]
    assert kept["base"] == {"name": served.config.model, "sha256": served.config.weights}
    assert (kept["training"]["epochs"], kept["hold_out"]) == (12, 0.1)
    assert not hasattr(chain[1], "made_with")
