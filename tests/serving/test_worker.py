"""What the worker makes of jobs that fail, of processes that die, and of a disk that is full."""

from __future__ import annotations

import multiprocessing
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from forgetless.serving import training, worker
from forgetless.serving.config import ServerConfig
from forgetless.serving.files import stored_files
from forgetless.serving.jobs import Jobs
from forgetless.serving.training import carry_out
from forgetless.serving.worker import Worker
from forgetless.storage import write_json
from tests.serving.build import as_chat
from tests.serving.test_jobs import added
from tests.tiny import colours, write_rows

FULL = OSError(28, "No space left on device")


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs.kept_in(tmp_path / "jobs")


@pytest.fixture
def working(tmp_path: Path, jobs: Jobs) -> Worker:
    return Worker(ServerConfig("model", tmp_path, "tiny"), stored_files(tmp_path / "files"), jobs)


class Ended:
    """A training process that has ended by a SIGTERM.

    Args:
        ending: What else ends with it.
    """

    exitcode = -signal.SIGTERM

    def __init__(self, *ending: Any) -> None:
        self._ending = ending

    def join(self, _: float) -> None:
        for event in self._ending:
            event.set()


def test_a_job_that_is_cancelled_as_it_ends_announces_no_model(tmp_path: Path) -> None:
    jobs = Jobs.kept_in(tmp_path)
    name = added(jobs, status="cancelled")
    files: Any = None  # of no use here
    Worker(ServerConfig("model", tmp_path, "tiny"), files, jobs)._succeed(name, tokens=5)
    assert jobs.records.get(name).fine_tuned_model is None
    assert jobs.events(name) == []


def test_a_job_whose_file_is_gone_fails_and_names_it(tmp_path: Path) -> None:
    jobs = Jobs.kept_in(tmp_path)
    name = added(jobs, status="queued", training_file="file-gone")
    worker = Worker(ServerConfig("model", tmp_path, "tiny"), stored_files(tmp_path / "files"), jobs)
    worker._train(jobs.records.get(name))
    failed = jobs.records.get(name)
    assert failed.status == "failed"
    assert failed.error == {
        "code": "invalid_training_file",
        "message": "No such file: file-gone",
        "param": "training_file",
    }


def test_models_of_jobs_that_were_made_at_once_have_names_of_their_own(
    jobs: Jobs, working: Worker
) -> None:
    names = [added(jobs, status="running") for _ in range(4)]
    for name in names:
        working._succeed(name, tokens=5)
    assert len({jobs.records.get(name).fine_tuned_model for name in names}) == 4


def test_a_full_disk_does_not_end_the_worker(
    jobs: Jobs, working: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = added(jobs, status="queued", training_file="file-gone")
    tries = iter(range(5))

    def written(*arguments: Any) -> None:
        if next(tries, None) is not None:
            raise FULL
        write_json(*arguments)

    monkeypatch.setattr("forgetless.serving.records.write_json", written)
    monkeypatch.setattr(worker, "REST_SECONDS", 0.01)
    working.start()
    until = time.monotonic() + 60
    while jobs.records.get(name).status != "failed":
        assert time.monotonic() < until
        time.sleep(0.01)
    working.end()
    assert "No space left on device" in caplog.text


def test_what_cannot_be_noted_is_not_taken_for_the_end_of_the_process(
    jobs: Jobs, working: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(*_: Any) -> None:
        raise FULL

    name = added(jobs, status="running")
    monkeypatch.setattr(jobs, "tell", tell)
    ours, theirs = multiprocessing.Pipe(duplex=False)
    theirs.send(("note", "said"))
    with ours, theirs, pytest.raises(OSError, match="No space left"):
        working._listen(name, ours, Ended())  # type: ignore[arg-type]


@pytest.mark.parametrize("shutdown", [False, True])
def test_a_process_that_is_ended_fails_its_job_unless_the_server_ends_too(
    jobs: Jobs, working: Worker, monkeypatch: pytest.MonkeyPatch, *, shutdown: bool
) -> None:
    name = added(jobs, status="running")
    monkeypatch.setattr(worker, "END_SECONDS", 0.01)
    ours, theirs = multiprocessing.Pipe(duplex=False)
    theirs.close()
    with ours:
        working._listen(name, ours, Ended(*[working._ending] * shutdown))  # type: ignore[arg-type]
    found = jobs.records.get(name)
    if shutdown:
        assert (found.status, found.error) == ("running", None)
    else:
        assert found.error is not None
        assert found.error["message"] == "the training process ended with -15"


def test_only_a_fault_of_the_file_is_called_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[Any, ...]] = []

    class Told:
        send = staticmethod(told.append)

        def close(self) -> None:
            pass

    monkeypatch.setattr(training, "_without_bars", lambda: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    file = write_rows(tmp_path / "rows.jsonl", [as_chat(row) for row in colours()])
    few = write_rows(tmp_path / "few.jsonl", [as_chat(row) for row in colours()][:3])
    sequence = [{"name": "one", "train": str(file), "hold_out": 0.1}]
    plan = {"model": str(tmp_path / "gone"), "sequence": sequence, "methods": []}
    for own in (file, few):
        carry_out(plan, tmp_path / "run", None, [own], Told())  # type: ignore[arg-type]
    failed = [what[1:] for what in told if what[0] == "failed"]
    assert failed[0][0] == "training_failed"
    assert "gone: no such model folder" in failed[0][1]
    assert failed[1] == ("invalid_training_file", "the file has 3 rows, needed at least 10")
