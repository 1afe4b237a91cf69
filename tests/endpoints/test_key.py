from __future__ import annotations

import json
import logging
import pickle
from typing import Any

import pytest

from forgetless.endpoints import EndpointConfig
from forgetless.endpoints.key import Key
from forgetless.errors import UsageError
from tests.endpoints.build import Opened, answers, questions
from tests.endpoints.conftest import Serve

SECRET = "sk-very/secret+key"  # noqa: S105


def test_key_is_sent_and_shown_nowhere(
    serve: Serve, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = serve(key=SECRET, say=lambda _: f"the key is {SECRET}")
    subject = opened(server, key=SECRET)
    task = questions(2)
    results = answers(subject, task)
    echoing = {"error": {"message": f"Bearer {SECRET} is no good"}}
    server.respond = lambda *_: (400, echoing)
    results |= {"bad": answers(subject, questions(1))["q0"]}
    assert server.headers["Authorization"] == f"Bearer {SECRET}"
    shown = [
        *(result.to_line() for result in results.values()), repr(subject), repr(subject._client),
        repr(subject._key), str(dict(subject.details())), str(subject.notes()),
        subject.identity(), str(subject.conditions(task)), caplog.text, repr(subject.config),
    ]  # fmt: skip
    assert not [text for text in shown if SECRET in text or json.dumps(SECRET)[1:-1] in text]
    assert results["q0"].output == "the key is [key]"
    assert results["bad"].error == "the server refused (HTTP 400): Bearer [key] is no good"


def test_wrong_key_is_not_in_the_message_that_refuses_it(serve: Serve, opened: Opened) -> None:
    with pytest.raises(UsageError, match=r"check that the key in \$OPENAI_API_KEY") as raised:
        opened(serve(key="another-one"), key=SECRET)
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None


def test_key_escaped_in_json_is_taken_out() -> None:
    assert Key(SECRET).redact(r"x sk-very\/secret+key x") == "x [key] x"


@pytest.mark.parametrize("word", ["EMPTY", "anything", "00000000", "t0ken"])
def test_placeholder_keys_are_words_and_numbers_that_stay(word: str) -> None:
    assert Key(word).redact(f"{word}, {word}.") == f"{word}, {word}."


@pytest.mark.parametrize("secret", ["anything1", "no-thing", "correcthorsebatterystaple", "1" * 20])
def test_what_may_be_a_secret_is_taken_out(secret: str) -> None:
    assert Key(secret).redact(f"{secret}, {secret}.") == "[key], [key]."


def test_key_is_not_pickled() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Key(SECRET))


def test_key_with_a_line_break_is_refused_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-one\nsk-two")
    with pytest.raises(UsageError, match=r"\$MY_KEY holds white space") as raised:
        Key.from_environment("MY_KEY")
    assert "sk-" not in str(raised.value)


@pytest.mark.parametrize(
    "address", ["http://u:sk-x@h/v1", "http://h/v1?key=sk-x", "u:sk-x@h/v1", "sk-x@h/v1"]
)
def test_address_with_a_key_in_it_is_refused_unseen(address: str) -> None:
    with pytest.raises(UsageError, match="no key may be in it") as raised:
        EndpointConfig.named("openai:m", address)
    assert "sk-x" not in str(raised.value)


@pytest.mark.parametrize(
    "address",
    [
        *("http://h:99999/v1", "http://[h/v1", "http://u:sk-x/y@h/v1", "http://sk-x℀@h/v1"),
        *("http://h\u200bh/v1", "http://h/v\t1"),
    ],
)
def test_an_address_that_cannot_be_read_is_not_shown_as_a_key_may_be_in_it(address: str) -> None:
    with pytest.raises(UsageError) as raised:
        EndpointConfig.named("openai:m", address)
    assert raised.value.message == "the endpoint's address cannot be read"
    assert raised.value.fix == (
        "give one such as  http://localhost:8000/v1  and the key in $OPENAI_API_KEY"
    )
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "openai:"}, "openai: is followed by no model's name"),
        ({"concurrency": 0}, "concurrency is 0, needed at least 1"),
        ({"timeout": 0.0}, "timeout is 0.0, needed a number of seconds above 0"),
        ({"timeout": float("inf")}, "timeout is inf, needed a number of seconds above 0"),
        ({"retries": -1}, "retries is -1, needed at least 0"),
        (
            {"base_url": "localhost:8000/v1"},
            "'localhost:8000/v1' is not the address of an endpoint",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        EndpointConfig.named(**{"name": "openai:m", **settings})
    assert raised.value.message == message


def test_a_model_may_bring_its_own_address() -> None:
    own = EndpointConfig.named("openai:org/m@https://host/v1/", "http://other/v1")
    assert (own.model, own.base_url) == ("org/m", "https://host/v1")
    shared = EndpointConfig.named("openai:m@v2", "http://other/v1")
    assert (shared.model, shared.base_url) == ("m@v2", "http://other/v1")
