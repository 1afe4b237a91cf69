from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest

from forgetless.endpoints.asking import IN_A_ROW
from forgetless.endpoints.client import Attempts
from forgetless.endpoints.faults import retry_after
from forgetless.errors import RunFailed
from tests.endpoints.build import Opened, answers, questions
from tests.endpoints.conftest import Serve
from tests.endpoints.faults import FAULTS, WAIT
from tests.endpoints.scripted import Scripted


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_changes_no_answer(serve: Serve, opened: Opened, fault: str) -> None:
    server = serve()
    subject = opened(server, timeout=0.5, concurrency=2)
    calm = answers(subject, questions())
    server.faults = [fault]
    asked_before = len(server.seen)
    assert answers(subject, questions()) == calm
    assert len(server.seen) - asked_before == 4  # three items, one of them twice
    assert all(result.score == 1.0 for result in calm.values())


@pytest.mark.parametrize("fault", FAULTS)
def test_item_that_is_never_answered_is_missing_and_not_wrong(
    serve: Serve, opened: Opened, fault: str
) -> None:
    server = serve()
    subject = opened(server, timeout=0.3, retries=1, concurrency=3)
    server.always = fault
    results = answers(subject, questions())
    assert len(results) == 3
    for result in results.values():
        assert result.error
        assert result.score is None
        assert result.correct is None
        assert not result.readings


def test_all_faults_at_once_change_no_answer(serve: Serve, opened: Opened) -> None:
    server = serve()
    subject = opened(server, timeout=0.5, retries=len(FAULTS))
    server.faults = [*FAULTS]
    results = answers(subject, questions(12))
    assert [result.score for result in results.values()] == [1.0] * 12
    assert not server.faults


def test_retry_after_is_waited_for_by_all_requests(serve: Serve, opened: Opened) -> None:
    server = serve()
    subject = opened(server, concurrency=1)
    server.faults = ["429 wait"]
    started = time.monotonic()
    answers(subject, questions())
    assert time.monotonic() - started >= WAIT


def _in_place_of_sleep(
    monkeypatch: pytest.MonkeyPatch, sleep: Callable[[float], Awaitable[None]]
) -> None:
    """For the client alone: a server of another test may sleep in this process."""
    ours = SimpleNamespace(**{**vars(asyncio), "sleep": sleep})
    monkeypatch.setattr("forgetless.endpoints.client.asyncio", ours)


def test_server_that_asks_to_wait_too_long_is_waited_for_no_longer_than_wanted(
    serve: Serve, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    subject = opened(server, longest_wait=WAIT / 3, concurrency=1)
    server.faults = ["429 wait"] * 2
    waits: list[float] = []

    async def sleep(seconds: float, real: Any = asyncio.sleep) -> None:
        waits.append(seconds)
        await real(seconds)

    _in_place_of_sleep(monkeypatch, sleep)
    assert [result.score for result in answers(subject, questions()).values()] == [1.0] * 3
    assert max(waits) <= WAIT / 3
    assert sum(waits) > WAIT / 3


@pytest.mark.parametrize("charset", ["rot13", "base64", "latin-1"])
def test_a_reply_is_read_as_utf_8_whatever_its_header_says(
    serve: Serve, opened: Opened, charset: str
) -> None:
    server = serve(say=lambda _: "Ä")
    subject = opened(server)
    server.always = f"charset {charset}"
    assert answers(subject, questions(1))["q0"].output == "Ä"


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_reply_that_is_nested_too_deeply_is_a_fault_like_others(
    serve: Serve, opened: Opened, status: int
) -> None:
    server = serve()
    subject = opened(server, retries=1)
    server.always = f"deep {status}"
    error = answers(subject, questions(1))["q0"].error
    assert error == "a reply that is nested too deeply (2 tries)"


def test_requests_of_one_item_share_its_repetitions(serve: Serve, opened: Opened) -> None:
    server = serve()
    subject = opened(server, retries=3)
    server.always = "500"
    result = answers(subject, questions(1))["q0"]
    assert len(server.bodies()) == 1 + 4
    assert result.error == "HTTP 500: busy (4 tries)"


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_refusal_is_not_repeated(serve: Serve, opened: Opened, status: int) -> None:
    server = serve()
    subject = opened(server)
    server.respond = lambda *_: (status, {"error": {"message": "no"}})
    result = answers(subject, questions(1))["q0"]
    assert result.error == f"the server refused (HTTP {status}): no"
    assert len(server.bodies()) == 2


def test_exhausted_quota_is_not_repeated(serve: Serve, opened: Opened) -> None:
    server = serve()
    subject = opened(server)
    server.respond = lambda *_: (429, {"error": {"message": "pay", "code": "insufficient_quota"}})
    assert answers(subject, questions(1))["q0"].error == "the server refused (HTTP 429): pay"


def test_redirect_is_not_followed(serve: Serve, opened: Opened) -> None:
    server = serve()
    subject = opened(server)
    server.respond = lambda *_: (307, {})
    error = answers(subject, questions(1))["q0"].error
    assert error == "the server refused (HTTP 307): it redirects to another address"


def test_endpoint_that_is_gone_ends_the_asking(serve: Serve, opened: Opened) -> None:
    server = serve()
    subject = opened(server, retries=0)
    server.always = "reset"
    task, found = questions(200), []
    asking = subject.answer(task, task.test)
    with pytest.raises(RunFailed, match=f"{IN_A_ROW} items one after another failed") as raised:
        found += [result for batch in asking for result in batch]
    assert raised.value.fix is not None
    assert all(result.error for result in found)
    assert len(found) < IN_A_ROW + subject.config.concurrency


def test_wrong_requests_say_nothing_about_the_endpoint(serve: Serve, opened: Opened) -> None:
    server = serve()
    subject = opened(server)
    server.respond = lambda *_: (400, {"error": "too long"})
    assert len(answers(subject, questions(2 * IN_A_ROW))) == 2 * IN_A_ROW


def test_wait_doubles_and_stays_below_the_longest(
    serve: Serve, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    subject = opened(server, first_wait=1.0, longest_wait=5.0, retries=5, concurrency=1)
    waits: list[float] = []

    async def sleep(seconds: float, real: Any = asyncio.sleep) -> None:
        waits.append(seconds)
        await real(0)

    _in_place_of_sleep(monkeypatch, sleep)
    server.always = "503"
    answers(subject, questions(1))
    waited = [wait for wait in waits if wait > 0]
    for wait, longest in zip(waited, (1, 2, 4, 5, 5), strict=True):
        assert longest / 2 <= wait <= longest


def test_no_more_requests_are_under_way_than_wanted(serve: Serve, opened: Opened) -> None:
    deadline = time.monotonic() + 10

    def when_three_asked(asked: str) -> str:
        while server.most_at_once < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        return "A"

    server = serve(say=lambda _: "A")
    subject = opened(server, concurrency=3)
    answers(subject, questions(1))  # what is proven of a server comes one by one
    assert isinstance(server.respond, Scripted)
    server.respond.say = when_three_asked
    answers(subject, questions(20))
    assert server.most_at_once == 3


def test_usage_counts_requests_with_repetitions_and_tokens_once(
    serve: Serve, opened: Opened
) -> None:
    server = serve()
    subject = opened(server, concurrency=1)
    before = (subject.usage.requests, subject.usage.input_tokens, subject.usage.output_tokens)
    assert before == (2, 1, 1)  # the list of models, and one question
    server.faults = ["500"]
    answers(subject, questions(3))
    assert subject.usage.requests == 2 + 4
    assert subject.usage.input_tokens == 1 + 3
    assert subject.usage.output_tokens == 1 + 3


def test_server_that_counts_nothing_is_asked_all_the_same(serve: Serve, opened: Opened) -> None:
    subject = opened(serve(counts=False))
    assert answers(subject, questions(1))["q0"].score == 1.0
    assert subject.usage.input_tokens == 0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("soon", None), ("", None)],
)
def test_retry_after_is_read_as_seconds(header: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": header}) == seconds


def test_retry_after_is_read_as_a_date() -> None:
    seconds = retry_after({"retry-after": formatdate(time.time() + 30, usegmt=True)})
    assert seconds is not None
    assert 28 < seconds <= 30


def test_interruption_loses_only_what_is_under_way(serve: Serve, opened: Opened) -> None:
    def slowly(asked: str) -> str:
        time.sleep(0.02)
        return "A"

    task = questions(40)
    server = serve(say=slowly)
    subject = opened(server, concurrency=2)
    found = []
    asking: Iterator[Any] = subject.answer(task, task.test)
    for batch in asking:
        found += batch
        if len(found) >= 5:
            break
    asking.close()  # type: ignore[attr-defined]
    time.sleep(0.5)  # in which all the rest could be asked
    assert len(server.bodies()) - 1 <= len(found) + 4
    done = {result.item for result in found}
    left = [row for row in task.test if row.id not in done]
    found += [result for batch in subject.answer(task, left) for result in batch]
    assert sorted(result.item for result in found) == sorted(row.id for row in task.test)


def test_closing_does_not_wait_for_a_server_that_hangs(serve: Serve, opened: Opened) -> None:
    server = serve()
    subject = opened(server, timeout=60.0)
    server.always = "hang"
    started = time.monotonic()
    asking = subject._background.start(subject._client.get("/models", Attempts(0), dict))
    time.sleep(0.1)
    subject.close()
    subject.close()  # twice is no harm
    assert asking.cancelled()
    assert time.monotonic() - started < 2


def test_scripted_server_answers_what_can_be_computed_by_hand() -> None:
    status, reply = Scripted()("/completions", {
        "model": "toy", "prompt": "red of", "max_tokens": 1, "logprobs": 5, "echo": True
    }, {})  # fmt: skip
    assert status == 200
    logprobs = reply["choices"][0]["logprobs"]
    assert logprobs["tokens"][:2] == ["red", " of"]
    assert logprobs["text_offset"] == [0, 3, 6]
    assert logprobs["token_logprobs"][0] is None
