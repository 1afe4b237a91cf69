"""Files, jobs and models of the server, asked by OpenAI's own client."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.fine_tuning import FineTuningJob
from starlette.testclient import TestClient

from forgetless.errors import RunFolderError
from forgetless.plan import TrainingConfig, make_plan
from forgetless.result import RunResult
from forgetless.sequence import run_sequence
from forgetless.serving.app import application
from forgetless.serving.config import ServerConfig
from forgetless.serving.files import StoredFile, stored_files
from forgetless.serving.jobs import FineTuneJob, Jobs
from forgetless.serving.making import training_of
from forgetless.serving.worker import Worker
from tests.serving.build import ENDED, Served, serving
from tests.serving.conftest import TRAINING
from tests.tiny import colours

pytestmark = pytest.mark.system

Chain = tuple[FineTuningJob, FineTuningJob]
JOBS = "/v1/fine_tuning/jobs"


def weights(config: ServerConfig, job: str, stage: int = -1) -> bytes:
    run = RunResult(config.folder / "jobs" / job / "run")
    return (run.model_path(stage) / "model.safetensors").read_bytes()


def added(jobs: Jobs, **fields: Any) -> str:
    """Take a job in as it is said to be; its id."""
    name = jobs.records.new_id()
    usual: dict[str, Any] = dict.fromkeys(field.name for field in dataclasses.fields(FineTuneJob))
    jobs.add(FineTuneJob(**usual | {"id": name, "created_at": 1, "deleted": False} | fields))
    return name


@pytest.fixture
def idle(tmp_path: Path) -> TestClient:
    """A server that works no job off, with the model ``ft:tiny`` and the file it has learned."""
    files = stored_files(tmp_path / "files")
    file = files.new_id()
    files.put(file, StoredFile(file, 0, 1, "rows.jsonl", "fine-tune"))
    added(
        Jobs.kept_in(tmp_path / "jobs"),
        status="succeeded",
        fine_tuned_model="ft:tiny",
        training_file=file,
        hyperparameters={"n_epochs": 3},
        seed=7,
        task="one",
    )
    return TestClient(application(ServerConfig("model", tmp_path, "tiny")), "http://localhost")


def only_file(client: TestClient) -> str:
    """The id of the one file of a server."""
    (file,) = client.get("/v1/files").json()["data"]
    return str(file["id"])


def test_a_file_comes_back_as_it_was_sent_until_it_is_deleted(
    served: Served, tmp_path: Path
) -> None:
    name = served.upload(colours(), tmp_path)
    files = served.client.files
    sent = (tmp_path / "rows.jsonl").read_bytes()
    assert (files.retrieve(name).bytes, files.content(name).read()) == (len(sent), sent)
    assert name in [file.id for file in files.list(purpose="fine-tune")]
    assert files.delete(name).deleted
    with pytest.raises(openai.NotFoundError, match="No such file"):
        files.retrieve(name)


def test_a_chain_of_jobs_ends_in_the_weights_of_one_run_over_its_files(
    served: Served, chain: Chain, tmp_path: Path
) -> None:
    folder = served.config.folder / "files"
    files = [folder / job.training_file / "content.jsonl" for job in chain]
    plan = make_plan(
        {
            "model": served.config.model,
            "sequence": [
                {"name": name, "train": str(file), "hold_out": 0.1}
                for name, file in zip(("one", "two"), files, strict=True)
            ],
            "methods": ["replay"],
            "training": TRAINING.model_dump(),
            "output": str(tmp_path / "run"),
        }
    )
    run = run_sequence(plan)
    for stage, job in enumerate(chain, start=1):
        alone = (run.model_path(stage) / "model.safetensors").read_bytes()
        assert weights(served.config, job.id, stage) == alone
    assert weights(served.config, chain[0].id) != weights(served.config, chain[1].id)
    replayed = run.results.stages[2].training
    assert replayed is not None
    assert replayed.replayed_tokens


def test_events_tell_losses_and_what_a_job_did_to_earlier_files(
    served: Served, chain: Chain
) -> None:
    told = served.messages(chain[1].id)
    assert told[0].startswith("Created fine-tuning job")
    assert told[-1] == f"New fine-tuned model created: {chain[1].fine_tuned_model}"
    assert [text.split(":")[0] for text in told[-3:-1]] == ["one", "two"]
    page = served.client.fine_tuning.jobs.list_events(chain[1].id, limit=4)
    assert len(page.data) == 4
    assert page.has_more
    events = list(served.client.fine_tuning.jobs.list_events(chain[1].id))
    figures = [event.data for event in events if event.type == "metrics"][::-1]
    steps = [data["step"] for data in figures]  # type: ignore[index]
    assert steps == list(range(1, figures[0]["total_steps"] + 1))  # type: ignore[index]


def test_models_are_listed_with_the_base_first(served: Served, chain: Chain) -> None:
    names = [model.id for model in served.client.models.list()]
    assert names[:3] == ["tiny", chain[0].fine_tuned_model, chain[1].fine_tuned_model]
    assert served.client.models.retrieve(names[1]).owned_by == chain[0].id
    assert names[1].startswith("ft:tiny:forgetless:one:")


def test_jobs_are_listed_newest_first(served: Served, chain: Chain) -> None:
    listed = [job.id for job in served.client.fine_tuning.jobs.list(limit=1)]
    assert listed.index(chain[1].id) < listed.index(chain[0].id)


def test_a_chain_is_trained_alike_from_end_to_end(served: Served, chain: Chain) -> None:
    with pytest.raises(openai.BadRequestError, match="was trained with 12") as caught:
        served.client.fine_tuning.jobs.create(
            model=str(chain[0].fine_tuned_model),
            training_file=chain[0].training_file,
            hyperparameters={"n_epochs": 3},
        )
    assert caught.value.param == "n_epochs"


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"model": "gpt"}, openai.NotFoundError, "model 'gpt' does not exist"),
        ({"training_file": "file-x"}, openai.NotFoundError, "No such file: file-x"),
        ({"hyperparameters": {"n_epochs": 0}}, openai.BadRequestError, "n_epochs"),
        ({"extra_body": {"packing": True}}, openai.BadRequestError, "Unknown parameter: 'packing'"),
    ],
)
def test_a_job_that_cannot_be_is_refused_in_the_form_of_the_api(
    served: Served, chain: Chain, wrong: dict[str, object], error: type[Exception], message: str
) -> None:
    request = {"model": "tiny", "training_file": chain[0].training_file} | wrong
    with pytest.raises(error, match=message):
        served.client.fine_tuning.jobs.create(**request)  # type: ignore[arg-type]


def test_a_broken_line_fails_its_job_and_is_named(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    good = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'
    file.write_text(f"{good}\n" * 11 + good.replace("assistant", "robot") + "\n")
    with file.open("rb") as opened:
        sent = served.client.files.create(file=opened, purpose="fine-tune")
    job = served.client.fine_tuning.jobs.create(model="tiny", training_file=sent.id)
    failed = served.settled(job.id)
    assert failed.status == "failed"
    assert failed.error is not None
    assert (failed.error.code, failed.error.param) == ("invalid_training_file", "training_file")
    assert "line 12: message 2 has the role 'robot'" in str(failed.error.message)
    assert failed.fine_tuned_model is None


def test_a_job_goes_on_with_the_server_s_next_start_or_is_cancelled(
    tiny_model: Path, tmp_path: Path, served: Served, chain: Chain
) -> None:
    """One job is interrupted in training, another waits; the first ends in the same bytes."""
    config = ServerConfig(str(tiny_model), tmp_path / "served", "tiny", training=TRAINING)
    rows = colours(0)
    with serving(config) as first:
        create = first.client.fine_tuning.jobs.create
        job = create(model="tiny", training_file=first.upload(rows, tmp_path), suffix="one")
        second = create(model="tiny", training_file=job.training_file)
        while not any("Step" in text for text in first.messages(job.id)):
            assert first.client.fine_tuning.jobs.retrieve(job.id).status not in ENDED
    with serving(config) as again:
        assert again.client.fine_tuning.jobs.cancel(second.id).status == "cancelled"
        with pytest.raises(openai.BadRequestError, match="cancelled already"):
            again.client.fine_tuning.jobs.cancel(second.id)
        done = again.settled(job.id)
        assert done.status == "succeeded"
        assert weights(config, job.id) == weights(served.config, chain[0].id)
        made = str(done.fine_tuned_model)
        assert again.client.models.delete(made).deleted
        create = again.client.fine_tuning.jobs.create
        with pytest.raises(openai.NotFoundError):
            create(model=made, training_file=job.training_file)


def test_runs_of_no_more_use_are_removed_and_all_others_kept(
    tiny_model: Path, tmp_path: Path
) -> None:
    config = ServerConfig(str(tiny_model), tmp_path / "served", "tiny", training=TRAINING)

    def kept() -> dict[str, bool]:
        return {
            job.id: (config.folder / "jobs" / job.id / "run").exists()
            for job in first.client.fine_tuning.jobs.list()
        }

    with serving(config) as first:
        create = first.client.fine_tuning.jobs.create
        file = first.upload(colours(0), tmp_path)
        made, stopped = (create(model="tiny", training_file=file) for _ in range(2))
        assert first.settled(made.id).status == "succeeded"
        while not any("Step" in text for text in first.messages(stopped.id)):
            assert first.client.fine_tuning.jobs.retrieve(stopped.id).status not in ENDED
        assert kept() == {made.id: True, stopped.id: True}
        first.client.fine_tuning.jobs.cancel(stopped.id)
        until = time.monotonic() + 60
        while kept()[stopped.id]:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert kept() == {made.id: True, stopped.id: False}
        assert "The job was cancelled" in first.messages(stopped.id)
        with pytest.raises(openai.BadRequestError):
            create(model="tiny", training_file=file, seed=-1)
    assert {path.name for path in (config.folder / "jobs").iterdir()} == {made.id, stopped.id}


@pytest.mark.parametrize(
    ("fields", "stays"),
    [
        ({"status": "queued"}, True),
        ({"status": "running"}, True),
        ({"status": "succeeded", "fine_tuned_model": "ft:tiny"}, True),
        ({"status": "succeeded", "fine_tuned_model": "ft:tiny", "deleted": True}, False),
        ({"status": "failed"}, False),
        ({"status": "cancelled"}, False),
    ],
)
def test_what_a_kill_left_of_a_run_is_removed_if_nothing_needs_it(
    tmp_path: Path, fields: dict[str, Any], *, stays: bool
) -> None:
    jobs = Jobs.kept_in(tmp_path)
    name = added(jobs, **fields)
    jobs.tell(name, "told")
    (jobs.run_folder(name) / "stages").mkdir(parents=True)
    jobs.tidy()
    assert jobs.run_folder(name).exists() == stays
    again = Jobs.kept_in(tmp_path)
    assert [job.id for job in again.records.all()] == [name]
    assert [event["message"] for event in again.events(name)] == ["told"]


def test_folders_of_records_that_never_were_are_removed_and_others_let_be(tmp_path: Path) -> None:
    torn = Jobs.kept_in(tmp_path).records.new_id()
    (tmp_path / torn / "content.jsonl").write_text("torn")
    (tmp_path / "ftjob-mine").mkdir()
    Jobs.kept_in(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["ftjob-mine"]


@pytest.mark.parametrize("found", [None, "yesterday", [1]])
def test_a_damaged_record_is_named_with_what_to_delete(tmp_path: Path, found: Any) -> None:
    record = tmp_path / added(Jobs.kept_in(tmp_path), status="queued") / "record.json"
    added(Jobs.kept_in(tmp_path), status="queued")  # beside it a sound one
    text = record.read_text()
    values = json.loads(text) | {"created_at": found}
    record.write_text(json.dumps(values) if found else text[:-3])
    with pytest.raises(RunFolderError) as caught:
        Jobs.kept_in(tmp_path)
    assert caught.value.message == f"{record}: damaged"
    assert caught.value.fix == f"delete {record.parent}"


def test_an_event_torn_by_a_kill_costs_no_other_event(tmp_path: Path) -> None:
    jobs = Jobs.kept_in(tmp_path)
    name = added(jobs, status="queued")
    jobs.tell(name, "before")
    with (tmp_path / name / "events.jsonl").open("a") as file:
        file.write('\n{"id": "ftevent-')
    jobs.tell(name, "after")
    assert [event["message"] for event in jobs.events(name)] == ["before", "after"]


@pytest.mark.parametrize(
    ("sent", "purpose", "message", "param"),
    [
        ({"data": {"file": "rows"}}, "fine-tune", "file: needed a file", "file"),
        ({"files": {"file": b"{}"}}, "batch", "purpose is 'batch', needed fine-tune", "purpose"),
    ],
)
def test_what_is_no_training_file_is_not_kept(
    idle: TestClient, sent: dict[str, Any], purpose: str, message: str, param: str
) -> None:
    form = sent.get("data", {}) | {"purpose": purpose}
    said = idle.post("/v1/files", data=form, files=sent.get("files", {"other": b""}))
    error = said.json()["error"]
    assert (said.status_code, error["message"], error["param"]) == (400, message, param)
    assert only_file(idle)


@pytest.mark.parametrize(
    ("query", "message", "param"),
    [
        ("limit=0", "limit is '0', needed a whole number above 0", "limit"),
        ("limit=few", "limit is 'few', needed a whole number above 0", "limit"),
        (f"limit={'9' * 5000}", f"limit is '{'9' * 20}', needed a whole number above 0", "limit"),
        ("after=ftjob-x", "after: there is no 'ftjob-x'", "after"),
    ],
)
def test_a_page_that_cannot_be_is_refused(
    idle: TestClient, query: str, message: str, param: str
) -> None:
    said = idle.get(f"{JOBS}?{query}")
    error = said.json()["error"]
    assert (said.status_code, error["message"], error["param"]) == (400, message, param)


def test_a_page_begins_after_the_entry_that_is_named(idle: TestClient) -> None:
    make = {"model": "tiny", "training_file": only_file(idle)}
    newer = [idle.post(JOBS, json=make).json()["id"] for _ in range(2)]
    page = idle.get(f"{JOBS}?after={newer[1]}&limit=1").json()
    assert ([job["id"] for job in page["data"]], page["has_more"]) == ([newer[0]], True)


def test_epochs_that_a_request_sets_take_the_place_of_the_server_s_steps(
    tiny_model: Path, tmp_path: Path
) -> None:
    files = stored_files(tmp_path / "files")
    files.put(file := files.new_id(), StoredFile(file, 0, 1, "rows.jsonl", "fine-tune"))
    config = ServerConfig(
        str(tiny_model), tmp_path, "tiny", training=TrainingConfig(steps=4, epochs=0.5)
    )
    client = TestClient(application(config), "http://localhost")
    trained = []
    for wanted in ({}, {"n_epochs": "auto"}, {"n_epochs": 2}):
        body = {"model": "tiny", "training_file": file, "hyperparameters": wanted}
        shown = client.post(JOBS, json=body).json()
        told = FineTuningJob.model_validate(shown).hyperparameters
        job = Jobs.kept_in(tmp_path / "jobs").records.get(shown["id"])
        training = training_of(job, config)
        trained.append((told.n_epochs, training.steps, training.epochs))
    assert trained == [("auto", 4, 3.0), ("auto", 4, 3.0), (2, None, 2.0)]  # 3: of no effect


def test_what_an_unfinished_job_needs_is_not_deleted(idle: TestClient) -> None:
    file = only_file(idle)
    job = idle.post(JOBS, json={"model": "ft:tiny", "training_file": file}).json()["id"]
    for address, message, code in (
        (f"files/{file}", f"{file} is needed by job {job}", "file_in_use"),
        ("models/ft:tiny", f"job {job} builds on ft:tiny", "model_in_use"),
    ):
        said = idle.delete(f"/v1/{address}")
        error = said.json()["error"]
        assert (said.status_code, error["message"], error["code"]) == (409, message, code)
    idle.post(f"{JOBS}/{job}/cancel")
    assert idle.delete("/v1/models/ft:tiny").json()["deleted"]
    assert idle.delete(f"/v1/files/{file}").json()["deleted"]


def test_the_base_model_is_not_deleted(idle: TestClient) -> None:
    said = idle.delete("/v1/models/tiny")
    assert (said.status_code, said.json()["error"]["message"]) == (403, "tiny is the base model")


@pytest.mark.parametrize("gone", ["training_file", "validation_file"])
def test_a_job_does_not_go_on_from_a_model_one_of_whose_files_is_gone(
    tmp_path: Path, gone: str
) -> None:
    files = stored_files(tmp_path / "files")
    files.put(file := files.new_id(), StoredFile(file, 0, 1, "rows.jsonl", "fine-tune"))
    jobs = Jobs.kept_in(tmp_path / "jobs")
    fields = {"training_file": file, gone: "file-gone"}
    added(jobs, status="succeeded", fine_tuned_model="ft:tiny", **fields)
    client = TestClient(application(ServerConfig("model", tmp_path, "tiny")), "http://localhost")
    said = client.post(JOBS, json={"model": "ft:tiny", "training_file": file})
    assert said.status_code == 400
    assert said.json()["error"]["message"] == (
        "ft:tiny was trained with file-gone, which was deleted, and a job that continues it needs "
        "all of its files. Send them again, and start from tiny"
    )


def test_a_record_that_was_deleted_as_told_keeps_no_file_and_is_named_to_who_goes_on(
    tmp_path: Path, idle: TestClient
) -> None:
    jobs = Jobs.kept_in(tmp_path / "jobs")
    file = only_file(idle)
    common = {"parent": "ftjob-gone", "training_file": file}
    added(jobs, status="succeeded", fine_tuned_model="ft:child", **common)
    queued = added(jobs, status="queued", **common)
    client = TestClient(application(ServerConfig("model", tmp_path, "tiny")), "http://localhost")
    error = client.post(JOBS, json={"model": "ft:child", "training_file": file}).json()["error"]
    message = "builds on job ftjob-gone, whose record is gone: start from the base model"
    assert (error["message"], error["param"]) == (f"ft:child {message}", "model")
    Worker(
        ServerConfig("model", tmp_path, "tiny"), stored_files(tmp_path / "files"), jobs
    )._work_on()
    assert jobs.records.get(queued).error == {
        "code": "training_failed", "message": f"{queued} {message}", "param": None
    }  # fmt: skip
    for address in (f"files/{file}", "models/ft:tiny", "models/ft:child"):  # job still is queued
        assert client.delete(f"/v1/{address}").json()["deleted"], address


def test_jobs_of_one_second_keep_their_order_over_a_restart(tmp_path: Path) -> None:
    jobs = Jobs.kept_in(tmp_path)
    names = [added(jobs, status="queued") for _ in range(8)]
    assert [job.id for job in Jobs.kept_in(tmp_path).records.all()] == names


def test_an_upload_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Any, file: Any) -> None:
        file.write(b"x" * 1000)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("forgetless.serving.files.shutil.copyfileobj", full)
    server = application(ServerConfig("model", tmp_path, "tiny"))
    client = TestClient(server, "http://localhost", raise_server_exceptions=False)
    said = client.post("/v1/files", data={"purpose": "fine-tune"}, files={"file": b"{}"})
    assert said.status_code == 500
    assert [*(tmp_path / "files").iterdir()] == []


def test_a_chain_has_one_seed(idle: TestClient) -> None:
    make = {"model": "ft:tiny", "training_file": only_file(idle)}
    said = idle.post(JOBS, json=make | {"seed": 8})
    assert said.status_code == 400
    assert said.json()["error"]["message"] == "seed is 8, but ft:tiny was trained with 7"
    assert idle.post(JOBS, json=make).json()["seed"] == 7
