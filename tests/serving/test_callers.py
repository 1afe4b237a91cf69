"""Whoever asks for too much is refused, and nobody is answered who has hung up."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from forgetless.serving import asking
from forgetless.serving.config import ServerConfig
from forgetless.serving.generating import Written, write
from tests.serving.build import Served, serving
from tests.tiny import CHAT_TEMPLATE, build_model

pytestmark = pytest.mark.system

LONG = 3000  # tokens; many seconds of the tiny model


@pytest.fixture(scope="module")
def wordy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose model goes on for as long as it may."""
    root = tmp_path_factory.mktemp("wordy")
    model = build_model(root / "model", context=4 * LONG)
    template = CHAT_TEMPLATE.replace("{% endif %}", "n{% endif %}")  # it repeats what it read last
    (model / "chat_template.jinja").write_text(template)
    with serving(ServerConfig(str(model), root / "served", "tiny", max_tokens=LONG)) as found:
        yield found


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    return Answers(monkeypatch)


class Answers:
    """What the server writes: when it begins, and what has come of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)
        self.written: list[Written] = []
        monkeypatch.setattr(asking, "write", self._write)

    def _write(self, *arguments: Any, **more: Any) -> Written:
        self.begun.release()
        self.written.append(write(*arguments, **more))
        self.ended.release()
        return self.written[-1]


def connected(served: Served, address: str, body: dict[str, Any]) -> socket.socket:
    """A connection on which a request was sent, and nothing was read yet."""
    host, port = served.url.removeprefix("http://").removesuffix("/v1").split(":")
    sent = json.dumps({"model": "tiny", "temperature": 0} | body).encode()
    connection = socket.create_connection((host, int(port)))
    connection.sendall(
        f"POST /v1/{address} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(sent)}\r\n\r\n".encode()
        + sent
    )
    return connection


CHAT = {"messages": [{"role": "user", "content": "go on"}], "max_tokens": LONG}


@pytest.mark.parametrize(
    ("address", "body"),
    [
        ("chat/completions", CHAT),
        ("chat/completions", CHAT | {"stream": True}),
        ("completions", {"prompt": "go on", "max_tokens": LONG}),
    ],
)
def test_writing_stops_when_the_client_hangs_up(
    wordy: Served, answers: Answers, address: str, body: dict[str, Any]
) -> None:
    with connected(wordy, address, body) as client:
        assert answers.begun.acquire(timeout=60)
        if body.get("stream"):
            assert b"200 OK" in client.recv(1024)
    assert answers.ended.acquire(timeout=300)
    assert 0 < answers.written[0].count < LONG


def test_who_hangs_up_while_waiting_is_not_answered_at_all(wordy: Served, answers: Answers) -> None:
    with connected(wordy, "chat/completions", CHAT):
        assert answers.begun.acquire(timeout=60)
        with connected(wordy, "chat/completions", CHAT):
            pass
    assert answers.ended.acquire(timeout=300)
    after = wordy.client.completions.create(model="tiny", prompt="a", max_tokens=1)
    assert after.usage is not None
    assert [answer.count for answer in answers.written][1:] == [after.usage.completion_tokens]


def test_whoever_waits_for_an_answer_keeps_nobody_from_sending_files(
    wordy: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many wait as there are threads for all else."""
    begun, go_on = threading.Event(), threading.Event()

    def held(*_: Any, **__: Any) -> Written:
        begun.set()
        go_on.wait(60)
        return Written()

    monkeypatch.setattr(asking, "write", held)
    with ExitStack() as waiting:
        waiting.callback(go_on.set)
        for _ in range(41):
            waiting.enter_context(connected(wordy, "chat/completions", CHAT))
        assert begun.wait(60)
        time.sleep(0.3)  # until all have come
        client = wordy.client.with_options(timeout=5)
        assert client.files.create(file=b"{}", purpose="fine-tune").bytes == 2


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_ends_waits_for_no_answer_and_says_so(
    wordy: Served,
    answers: Answers,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    stream: bool,
) -> None:
    """Neither for the one under way, of which a stream has sent a part, nor for the next."""
    config = replace(wordy.config, folder=tmp_path)
    body = CHAT | {"stream": stream}
    with serving(config, grace=1) as served:
        first = connected(served, "chat/completions", body)
        assert answers.begun.acquire(timeout=60)
        second = connected(served, "chat/completions", body)
        time.sleep(0.3)  # until it has come
    with first, second:
        ended, refused = all_of(first), all_of(second)
    assert b" 503 " in refused.splitlines()[0]
    assert ended.startswith(b"HTTP/1.1 " + (b"200" if stream else b"503"))
    assert b'"The server ends"' in ended
    if stream:
        assert ended.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert answers.ended.acquire(timeout=60)
    if answers.begun.acquire(timeout=0.2):  # between the first one's end and the server's word
        assert answers.ended.acquire(timeout=60)
    assert all(answer.count < LONG for answer in answers.written)
    assert "Traceback" not in capsys.readouterr().err


def all_of(connection: socket.socket) -> bytes:
    """Whatever comes until the server closes the connection."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_more_tokens_than_the_server_writes_are_refused(wordy: Served, name: str) -> None:
    messages: Any = [{"role": "user", "content": "a"}]
    with pytest.raises(openai.BadRequestError) as caught:
        wordy.client.chat.completions.create(
            model="tiny", messages=messages, extra_body={name: LONG + 1}
        )
    assert caught.value.body == {
        "message": f"{name} is too large: 3001. This server writes at most 3000 tokens for a "
        "request",
        "type": "invalid_request_error",
        "param": name,
        "code": "invalid_value",
    }


def test_a_chat_that_names_no_length_ends_at_the_server_s(tiny_model: Path, tmp_path: Path) -> None:
    with serving(ServerConfig(str(tiny_model), tmp_path, "tiny", max_tokens=20)) as served:
        run = served.client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "go on"}], temperature=0
        )
    assert run.usage is not None
    assert (run.usage.completion_tokens, run.choices[0].finish_reason) == (20, "length")
