"""A file is sent once and a job started once, whatever is lost on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from forgetless.endpoints.config import EndpointConfig
from forgetless.endpoints.key import Key
from forgetless.errors import RunFailed
from forgetless.hosted.provider import Job, Loss, Provider
from forgetless.hosted.stage_job import StageJob
from forgetless.progress import Progress
from tests.endpoints.faults import Server, serving
from tests.hosted.scripted import ScriptedProvider

REPLY_LOST = ("truncated", "half", "empty", "html", "error in 200", "slow")
NOT_DONE = ("429", "429 wait", "500", "503", "reset", "hang")


class Killed(BaseException):
    """The process is killed here."""


@contextmanager
def provider_of(server: Server) -> Iterator[tuple[Provider, EndpointConfig]]:
    config = EndpointConfig("base", server.url, timeout=1.0, retries=3, first_wait=0.01)
    with Provider(config, Key("sk-secret-of-this-test")) as provider:
        yield provider, config


def file_in(folder: Path) -> Path:
    file = folder / "training_file.jsonl"
    file.write_text('{"messages": []}\n')
    return file


def carried_out(server: Server, folder: Path, progress: Progress | None = None) -> Job:
    with provider_of(server) as (provider, config):
        work = StageJob(provider, config, folder, "1-law")
        file = work.send(file_in(folder))
        work.start({"model": "base", "training_file": file})
        return work.settled(0.01, progress or Progress())


@pytest.mark.parametrize("fault", [*NOT_DONE, *REPLY_LOST])
@pytest.mark.parametrize("request_number", [0, 1])
def test_a_fault_in_sending_or_starting_makes_nothing_twice(
    fault: str, request_number: int, tmp_path: Path
) -> None:
    script = ScriptedProvider()
    with serving(script) as server:
        server.faults = ["", ""]
        server.faults[request_number] = fault
        assert carried_out(server, tmp_path).model == "ft:base:ftjob-0"
    assert (len(script.files), len(script.jobs)) == (1, 1)


@pytest.mark.parametrize("lost", ["upload", "create"])
@pytest.mark.parametrize("arrived", [True, False])
def test_a_kill_between_intent_and_reply_makes_nothing_twice(
    lost: str, arrived: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other files and jobs lie before ours, on pages of their own."""
    script = ScriptedProvider()
    script.files = [{"id": "file-x", "filename": "forgetless-1-law.jsonl"}]
    script.jobs = [{"id": "ftjob-x", "training_file": "file-x", "status": "running"}]

    def killed_in(real: Callable[..., str]) -> Callable[..., str]:
        def call(*args: Any) -> str:
            if arrived:
                real(*args)
            raise Killed

        return call

    with serving(script) as server:
        with monkeypatch.context() as patch:
            patch.setattr(Provider, lost, killed_in(getattr(Provider, lost)))
            with pytest.raises(Killed):
                carried_out(server, tmp_path)
        script.files.append({"id": "file-y", "filename": "another.jsonl"})
        script.jobs.append({"id": "ftjob-y", "training_file": "file-y", "status": "queued"})
        done = carried_out(server, tmp_path)
    assert done.model.startswith("ft:base:ftjob-")
    names = [file["filename"] for file in script.files]
    assert len([name for name in names if name.startswith("forgetless-1-law-")]) == 1
    assert len(script.jobs) == 3


def test_a_kill_while_waiting_goes_on_with_the_same_job(tmp_path: Path) -> None:
    class Impatient(Progress):
        def trained(self, step: int, steps: int, loss: float) -> None:
            assert (step, steps, loss) == (3, 3, 1.0)
            raise Killed

    script = ScriptedProvider()
    with serving(script) as server:
        with pytest.raises(Killed):
            carried_out(server, tmp_path, Impatient())
        assert carried_out(server, tmp_path).id == "ftjob-0"
    assert len(script.jobs) == 1


@pytest.mark.parametrize(
    ("end", "message", "fix"),
    [
        (
            ("failed", {"code": "invalid_training_file", "message": "line 3 is bad"}),
            r"1-law: job ftjob-0 at .* failed: line 3 is bad \(invalid_training_file\)",
            "mend what it says",
        ),
        (("cancelled", None), r"1-law: job ftjob-0 at .* was cancelled$", "with a new job"),
    ],
)
def test_a_job_that_ends_badly_is_explained_and_the_next_try_is_a_new_one(
    end: tuple[str, dict[str, Any] | None], message: str, fix: str, tmp_path: Path
) -> None:
    script = ScriptedProvider(ends=[end, ("succeeded", None)])
    with serving(script) as server:
        with pytest.raises(RunFailed) as caught:
            carried_out(server, tmp_path)
        assert re.search(message, caught.value.message)
        assert fix in str(caught.value.fix)
        assert carried_out(server, tmp_path).id == "ftjob-1"


@pytest.mark.parametrize(
    ("status", "fix"),
    [
        (403, "check that the key in $OPENAI_API_KEY is right, and may fine-tune there"),
        (404, "check the address and the model; not every provider has fine-tuning jobs"),
        (413, None),
    ],
)
def test_a_refusal_is_told_once_and_not_repeated(
    status: int, fix: str | None, tmp_path: Path
) -> None:
    with serving(lambda *_: (status, {"error": {"message": "no"}})) as server:
        with pytest.raises(RunFailed) as caught:
            carried_out(server, tmp_path)
        assert len(server.seen) == 1
    assert caught.value.message == f"{server.url} refused the training file (HTTP {status}): no"
    assert caught.value.fix == fix


def test_the_key_is_sent_and_written_nowhere(tmp_path: Path) -> None:
    with serving(ScriptedProvider()) as server:
        carried_out(server, tmp_path)
        headers = {name.lower(): value for name, value in server.headers.items()}
        assert headers["authorization"] == "Bearer sk-secret-of-this-test"
    assert "secret" not in "".join(file.read_text() for file in tmp_path.iterdir())


def test_losses_of_all_pages_come_in_order(tmp_path: Path) -> None:
    with serving(ScriptedProvider()) as server, provider_of(server) as (provider, _):
        assert provider.losses("ftjob-0") == [Loss(n, 3, 4.0 - n) for n in (1, 2, 3)]


def test_what_is_about_to_be_done_is_on_disk_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}
    real = Provider.create

    def create(self: Provider, body: dict[str, Any]) -> str:
        seen.update(json.loads((tmp_path / "job.json").read_text()))
        return real(self, body)

    monkeypatch.setattr(Provider, "create", create)
    with serving(ScriptedProvider()) as server:
        carried_out(server, tmp_path)
    assert (seen["about_to"], seen["file"], seen["job"]) == ("job", "file-0", None)
