"""A file is sent once and a job started once, whatever is lost on the way."""

from __future__ import annotations

import json
import re
import threading
import time
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
from forgetless.layout import BEGUN_WITH
from forgetless.progress import Progress
from tests.endpoints.faults import Answer, Respond, Server, serving
from tests.hosted.scripted import ScriptedProvider

pytestmark = pytest.mark.system

REPLY_LOST = ("truncated", "half", "empty", "html", "error in 200", "slow")
NOT_DONE = ("429", "429 wait", "500", "503", "reset", "hang")


class Killed(BaseException):
    """The process is killed here."""


def killed(*_: Any) -> str:
    raise Killed


@contextmanager
def provider_of(server: Server, timeout: float = 1.0) -> Iterator[tuple[Provider, EndpointConfig]]:
    config = EndpointConfig("base", server.url, timeout=timeout, retries=3, first_wait=0.01)
    with Provider(config, Key("sk-secret-of-this-test")) as provider:
        yield provider, config


def file_in(folder: Path) -> Path:
    file = folder / "training_file.jsonl"
    file.write_text('{"messages": []}\n')
    return file


def carried_out(
    server: Server, folder: Path, progress: Progress | None = None, timeout: float = 1.0
) -> Job:
    with provider_of(server, timeout) as (provider, config):
        work = StageJob(provider, config, folder, "1-law")
        work.start(file_in(folder), {"model": "base"})
        return work.settled(0.01, progress or Progress())


Change = Callable[[str, dict[str, Any]], dict[str, Any]]


def changing(script: ScriptedProvider, change: Change) -> Respond:
    """The provider with other replies, made of the path and of what it says."""

    def respond(path: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        status, reply = script(path, body, headers)
        return status, change(path, reply)

    return respond


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


def test_a_job_that_starts_after_the_time_out_is_not_started_again(tmp_path: Path) -> None:
    first = threading.Event()

    class Slow(ScriptedProvider):
        def _created(self, body: dict[str, Any]) -> dict[str, Any]:
            if first.is_set():
                return super()._created(body)
            first.set()
            time.sleep(0.7)
            job = super()._created(body)
            over.set()
            return job

    script, over = Slow(), threading.Event()
    with serving(script) as server:
        carried_out(server, tmp_path, timeout=0.5)
        assert over.wait(5)
    assert len(script.jobs) == 1


def test_a_job_that_starts_a_while_after_a_kill_is_not_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = ScriptedProvider()
    late: list[threading.Timer] = []

    def create(provider: Provider, body: dict[str, Any]) -> str:
        late.append(threading.Timer(0.4, script._created, [body]))
        late[0].start()
        raise Killed

    with serving(script) as server:
        with monkeypatch.context() as patch:
            patch.setattr(Provider, "create", create)
            with pytest.raises(Killed):
                carried_out(server, tmp_path)
        carried_out(server, tmp_path)
        late[0].join()
    assert len(script.jobs) == 1


@pytest.mark.parametrize("address", ["/files", "/fine_tuning/jobs"])
def test_a_reply_without_an_id_counts_as_lost(address: str, tmp_path: Path) -> None:
    def wrapped(path: str, reply: dict[str, Any]) -> dict[str, Any]:
        return {"data": reply} if path == address else reply  # a list has a query behind it

    script = ScriptedProvider()
    with serving(changing(script, wrapped)) as server:
        done = carried_out(server, tmp_path)
    assert (done.training_file, done.id) == ("file-0", "ftjob-0")
    assert (len(script.files), len(script.jobs)) == (1, 1)


def test_a_list_whose_pages_are_all_the_first_comes_to_an_end() -> None:
    page = {"data": [{"id": "file-x", "filename": "x"}], "has_more": True}
    with serving(lambda *_: (200, page)) as server, provider_of(server) as (provider, _):
        assert provider.uploaded("y") is None
    assert len(server.seen) == 2


def test_a_model_whose_name_comes_after_the_success_is_waited_for(tmp_path: Path) -> None:
    names: list[str] = []

    def nameless_at_first(path: str, reply: dict[str, Any]) -> dict[str, Any]:
        if reply.get("fine_tuned_model"):
            names.append(reply["fine_tuned_model"])
            return reply if len(names) > 1 else {**reply, "fine_tuned_model": None}
        return reply

    script = ScriptedProvider()
    with serving(changing(script, nameless_at_first)) as server:
        assert carried_out(server, tmp_path).model == "ft:base:ftjob-0"
    assert len(script.jobs) == 1


def test_a_job_is_known_to_have_failed_though_its_reply_does_not_say_that_it_is_one(
    tmp_path: Path,
) -> None:
    def bare(path: str, reply: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in reply.items() if name != "object"}

    script = ScriptedProvider(ends=[("failed", {"message": "line 3", "code": "bad"})])
    with (
        serving(changing(script, bare)) as server,
        pytest.raises(RunFailed, match=r"failed: line 3 \(bad\)"),
    ):
        carried_out(server, tmp_path)


def test_a_provider_that_does_not_answer_is_named_with_what_to_do(tmp_path: Path) -> None:
    with serving(ScriptedProvider()) as server, provider_of(server) as (provider, _):
        server.always = "503"
        with pytest.raises(RunFailed) as caught:
            provider.job("ftjob-0")
    assert caught.value.message == (
        f"{server.url} does not answer when asked to tell of job ftjob-0: HTTP 503: busy (4 tries)"
    )
    assert caught.value.fix == "run the same command again when it answers; it goes on from here"


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
        (402, "check the account there: its credit and its limits"),
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
    assert caught.value.message == (
        f"{server.url} refused to take the training file (HTTP {status}): no"
    )
    assert caught.value.fix == fix


def test_after_a_refusal_nothing_is_looked_for(tmp_path: Path) -> None:
    script = ScriptedProvider()
    with serving(lambda *_: (403, {"error": {"message": "no"}})) as server:
        with pytest.raises(RunFailed):
            carried_out(server, tmp_path)
        server.respond = script
        assert carried_out(server, tmp_path).id == "ftjob-0"
    assert [path for path, _ in server.seen[:3]] == ["/files", "/files", "/fine_tuning/jobs"]


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


@pytest.mark.parametrize(
    "told",
    [
        {"method": "supervised"},
        {"method": ["a"]},
        {"method": {"type": ["a"]}},
        {"method": {"type": "supervised", "supervised": "x"}},
        {"hyperparameters": "auto"},
        {"hyperparameters": {"batch_size": float("inf")}},
        {"hyperparameters": {"learning_rate_multiplier": 10**400}},
        {"trained_tokens": float("nan")},
    ],
)
def test_what_a_job_tells_in_another_form_counts_as_not_told(
    told: dict[str, Any], tmp_path: Path
) -> None:
    def changed(path: str, reply: dict[str, Any]) -> dict[str, Any]:
        return reply | told if "training_file" in reply else reply

    script = ScriptedProvider()
    with serving(changing(script, changed)) as server:
        done = carried_out(server, tmp_path)
    assert (done.id, done.seconds) == ("ftjob-0", 60)
    assert (done.batch_size, done.learning_rate_multiplier) == (None, None)
    assert done.trained_tokens == (None if "trained_tokens" in told else 500)


@pytest.mark.parametrize(
    ("events", "losses"),
    [
        (5, []),
        (["x"], []),
        ([{"id": "e", "data": {"step": float("nan"), "train_loss": 1.0}}], []),
        (
            [{"id": "e", "data": {"step": 1, "train_loss": 1.0, "total_steps": float("inf")}}],
            [Loss(1, 1, 1.0)],
        ),
    ],
)
def test_events_in_another_form_count_as_not_told(
    events: Any, losses: list[Loss], tmp_path: Path
) -> None:
    def changed(path: str, reply: dict[str, Any]) -> dict[str, Any]:
        return {"data": events} if "/events" in path else reply

    with serving(changing(ScriptedProvider(), changed)) as server:
        done = carried_out(server, tmp_path)
        with provider_of(server) as (provider, _):
            assert provider.losses(done.id) == losses


@pytest.mark.parametrize("left", ["unanswered", "killed"])
def test_a_refusal_says_nothing_of_an_earlier_try_that_was_left_open(
    left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job of the first try starts after the second was refused."""
    script = ScriptedProvider()
    tries: list[dict[str, Any]] = []

    def respond(path: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        if path == "/fine_tuning/jobs" and body:
            tries.append(body)
            if left == "unanswered" and len(tries) == 1:
                return 504, {"error": {"message": "timeout"}}
            return 429, {"error": {"message": "no credit", "code": "insufficient_quota"}}
        return script(path, body, headers)

    with serving(respond) as server:
        if left == "killed":
            with monkeypatch.context() as patch:
                patch.setattr(Provider, "create", killed)
                with pytest.raises(Killed):
                    carried_out(server, tmp_path, timeout=0.2)
        with pytest.raises(RunFailed, match="no credit"):
            carried_out(server, tmp_path, timeout=0.2)
        script._created(tries[0])  # of both tries alike
        server.respond = script
        assert carried_out(server, tmp_path).id == "ftjob-0"
    assert len(script.jobs) == 1


def failing_once(script: ScriptedProvider, address: str, status: int = 400) -> Respond:
    """The provider, but that it is busy at the first try of something and refuses the others."""
    tries: list[str] = []

    def respond(path: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        if path != address or not body:
            return script(path, body, headers)
        tries.append(path)
        if len(tries) == 1:
            return 503, {"error": {"message": "busy"}}
        return status, {"error": {"message": "line 3 is bad"}}

    return respond


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("address", ["/files", "/fine_tuning/jobs"])
def test_data_that_are_refused_after_a_fault_may_be_mended_once_no_job_has_come(
    address: str, status: int, tmp_path: Path
) -> None:
    script = ScriptedProvider()
    begun_with = tmp_path / BEGUN_WITH
    begun_with.write_text("fingerprint")
    with serving(failing_once(script, address, status)) as server:
        with pytest.raises(RunFailed, match="line 3 is bad"):
            carried_out(server, tmp_path, timeout=0.3)
        assert not begun_with.exists()
        server.respond = script
        before = len(script.files)
        assert carried_out(server, tmp_path).training_file == f"file-{before}"
    assert len(script.jobs) == 1


def test_a_job_that_starts_after_its_second_try_was_refused_is_gone_on_with(
    tmp_path: Path,
) -> None:
    script = ScriptedProvider()
    failing = failing_once(script, "/fine_tuning/jobs")
    late: list[threading.Timer] = []

    def respond(path: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        status, reply = failing(path, body, headers)
        if status == 400:
            late.append(threading.Timer(0.2, script._created, [body]))
            late[0].start()
        return status, reply

    with serving(respond) as server:
        assert carried_out(server, tmp_path).id == "ftjob-0"
    assert (len(late), len(script.jobs)) == (1, 1)


@pytest.mark.parametrize("gone", [True, False])
def test_where_jobs_cannot_be_listed_after_a_fault_it_is_told_what_to_delete(
    tmp_path: Path, *, gone: bool
) -> None:
    """Even a file that is gone is not sent again, for its job may be there."""
    script = ScriptedProvider()
    failing = failing_once(script, "/fine_tuning/jobs")

    def respond(path: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        if path.startswith("/fine_tuning/jobs?"):
            if gone:
                script.files = [{"id": "file-x", "filename": "x"}]
            return 404, {"error": {"message": "no lists here"}}
        return failing(path, body, headers)

    folder = tmp_path / "checkpoints"
    folder.mkdir()
    with serving(respond) as server:
        with pytest.raises(RunFailed) as caught:
            carried_out(server, folder)
        assert caught.value.message == (
            f"{server.url} refused to list jobs (HTTP 404): no lists here; so it is not known "
            "whether the job of file-0 was started"
        )
        assert caught.value.fix == (
            f"see there whether a job has this training file; if none has, delete {folder}; the "
            "same command then starts a new job, and the data may be mended before"
        )
        assert len(server.bodies("/fine_tuning/jobs")) == 1


def refusing(script: ScriptedProvider, status: int, code: str = "") -> Respond:
    """The provider, but that it starts no job."""

    def respond(path: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        if "training_file" in body:
            return status, {"error": {"message": "no", "code": code}}
        return script(path, body, headers)

    return respond


@pytest.mark.parametrize("status", [400, 404])
def test_a_file_that_has_expired_before_its_job_was_started_is_sent_again(
    status: int, tmp_path: Path
) -> None:
    script = ScriptedProvider()

    def strict(path: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        known = [file["id"] for file in script.files]
        refuses = body.get("training_file", known[0]) not in known
        return (refusing(script, status) if refuses else script)(path, body, headers)

    with serving(refusing(script, 429, "insufficient_quota")) as server:
        with pytest.raises(RunFailed) as caught:
            carried_out(server, tmp_path)
        assert caught.value.fix == "check the account there: its credit and its limits"
        before = script.files[0]["filename"]
        script.files = [{"id": "file-x", "filename": "x"}]
        server.respond = strict
        assert carried_out(server, tmp_path).training_file == "file-1"
    assert script.files[1]["filename"] != before


@pytest.mark.parametrize("expired", [True, False])
def test_data_that_are_refused_may_be_mended_whether_or_not_their_file_had_expired(
    tmp_path: Path, *, expired: bool
) -> None:
    script = ScriptedProvider()
    begun_with = tmp_path / BEGUN_WITH
    begun_with.write_text("fingerprint")
    with serving(refusing(script, 402)) as server:
        with pytest.raises(RunFailed, match="HTTP 402"):
            carried_out(server, tmp_path)
        assert begun_with.exists()
        if expired:
            script.files = [{"id": "file-x", "filename": "x"}]
        server.respond = refusing(script, 400)
        with pytest.raises(RunFailed, match="HTTP 400"):
            carried_out(server, tmp_path)
        assert not begun_with.exists()
        server.respond = script
        assert carried_out(server, tmp_path).id == "ftjob-0"


@pytest.mark.parametrize("listed", [True, False])
def test_a_refusal_that_is_not_for_want_of_the_file_is_told_and_nothing_sent_again(
    tmp_path: Path, *, listed: bool
) -> None:
    script = ScriptedProvider()
    refuses = refusing(script, 400)

    def respond(path: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        return (404, {}) if "limit" in path and not listed else refuses(path, body, headers)

    with serving(respond) as server, pytest.raises(RunFailed, match=r"to start the job .*: no"):
        carried_out(server, tmp_path)
    assert [len(script.files), len(server.bodies("/fine_tuning/jobs"))] == [1, 1]


def test_a_job_that_the_provider_knows_no_more_is_told_with_what_to_delete(tmp_path: Path) -> None:
    script = ScriptedProvider()

    class Impatient(Progress):
        def trained(self, step: int, steps: int, loss: float) -> None:
            raise Killed

    with serving(script) as server:
        with pytest.raises(Killed):
            carried_out(server, tmp_path, Impatient())
        script.jobs.clear()
        with pytest.raises(RunFailed, match=r"to tell of job ftjob-0 \(HTTP 404\)") as caught:
            carried_out(server, tmp_path)
        record = tmp_path / "job.json"
        assert caught.value.fix == (
            f"if it is gone for good, delete {record}; the same command then starts a new job"
        )
        record.unlink()
        assert carried_out(server, tmp_path).id == "ftjob-0"
