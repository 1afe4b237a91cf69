from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from forgetless.endpoints import EndpointConfig, EndpointSubject
from forgetless.errors import UsageError
from forgetless.tasks.row import Row, Turn
from tests.endpoints.build import Opened, answers, choices, open_endpoint, questions, texts
from tests.endpoints.conftest import Serve
from tests.endpoints.faults import Server
from tests.endpoints.scripted import logprob
from tests.training.build import exchange, make_task


def mode(subject: EndpointSubject, task: Any) -> str:
    return subject.conditions(task).parts["mode"]


Change = Callable[[dict[str, Any]], object]


def changing(server: Server, change: Change, *, echoes: bool) -> Server:
    """The server with other replies of ``/completions``: to all requests, or for echoes alone."""
    plain = server.respond

    def respond(path: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
        status, reply = plain(path, body, headers)
        if path == "/completions" and (body.get("echo") or not echoes):
            change(reply)
        return status, reply

    server.respond = respond
    return server


def told(reply: dict[str, Any]) -> dict[str, list[Any]]:
    """The log-probabilities of a reply."""
    found: dict[str, list[Any]] = reply["choices"][0]["logprobs"]
    return found


def joined(reply: dict[str, Any], place: int) -> None:
    """Make one token of a token, counted from the end, and the one after it."""
    for listed in told(reply).values():
        after = listed.pop(len(listed) - place + 1)
        if isinstance(after, str):
            listed[-place + 1] += after


def split(reply: dict[str, Any], place: int) -> None:
    """Make two tokens of one, counted from the end."""
    for listed in told(reply).values():
        listed.insert(len(listed) - place, listed[-place])
    texts = told(reply)["tokens"]
    texts[-place - 1], texts[-place] = texts[-place][:2], texts[-place][2:]


def test_likeliest_letter_is_the_choice(serve: Serve, opened: Opened) -> None:
    first = {"A": -2.0, " B": -1.0, "b": -1.2, "The": -0.9}
    subject = opened(serve(first=first, say=lambda _: "The"))
    result = answers(subject, choices(1, gold="blue"))["c0"]
    assert (result.answer, result.score, result.correct) == ("blue", 1.0, True)
    assert result.readings["nll"] == pytest.approx(-math.log(math.exp(-1.0) + math.exp(-1.2)))


@pytest.mark.parametrize(
    "worth", [-math.inf, math.inf, math.nan, pytest.param(-(10**400), id="huge")]
)
def test_letter_whose_log_probability_is_no_finite_number_has_none(
    serve: Serve, opened: Opened, worth: float
) -> None:
    result = answers(opened(serve(first={"A": -0.1, "B": worth})), choices(1, gold="blue"))["c0"]
    assert (result.answer, result.score, "nll" in result.readings) == ("red", 0.0, False)


def test_letter_that_is_not_among_the_likeliest_is_read_from_text(
    serve: Serve, opened: Opened
) -> None:
    server = serve(first={"Well": -0.1, "So": -3.0}, say=lambda _: "Well, the answer is (C).")
    subject = opened(server)
    assert answers(subject, choices(2, gold="green"))["c0"].score == 1.0
    assert any(note.startswith("2 choices were read") for note in subject.notes())


def test_answer_that_names_no_choice_is_wrong_and_kept(serve: Serve, opened: Opened) -> None:
    server = serve(first={"Hm": -0.1}, say=lambda _: "Hm, who knows.")
    result = answers(opened(server), choices(1))["c0"]
    assert (result.score, result.output, result.error) == (0.0, "Hm, who knows.", None)


def test_logprobs_of_something_else_than_the_text_are_not_believed(
    serve: Serve, opened: Opened
) -> None:
    subject = opened(serve(first={"<think>": -0.1, "B": -4.0}, say=lambda _: "A"))
    assert mode(subject, choices()) == "generation, chat in chat"
    assert answers(subject, choices(1))["c0"].answer == "red"


def test_server_without_logprobs_has_its_choices_generated(serve: Serve, opened: Opened) -> None:
    subject = opened(serve(letters=False))
    assert mode(subject, choices()) == "generation, chat in chat"
    assert answers(subject, choices())["c0"].score == 1.0
    assert "it ignores logprobs" in subject.notes()[0]
    with pytest.raises(UsageError, match="no log-probabilities of letters"):
        opened(serve(letters=False), choices="letters").conditions(choices())


@pytest.mark.parametrize("echo", ["right", "start sign"])
def test_echo_that_is_proven_gives_likelihoods(serve: Serve, opened: Opened, echo: str) -> None:
    subject = opened(serve(echo=echo, endless=True))
    result = answers(subject, texts("red of is"))["t0"]
    expected = [logprob("red", " of"), logprob(" of", " is")]
    expected += [logprob("<s>", "red")] if echo == "start sign" else []
    assert result.score == pytest.approx(sum(expected) / len(expected))
    assert result.readings["tokens"] == len(expected)
    task = choices(1, render="plain")
    assert mode(subject, task) == "echo, plain"
    chosen = answers(subject, task)["c0"]
    assert chosen.readings["nll"] == pytest.approx(-logprob(":", " red"))
    assert chosen.output == "red"


@pytest.mark.parametrize(
    ("echo", "reason"),
    [
        ("ignored", "it ignores echo"),
        ("off by one", "when generated, .* when echoed"),
        ("without logprobs", "it echoes without log-probabilities"),
    ],
)
def test_echo_that_is_wrong_is_found_out(
    serve: Serve, opened: Opened, echo: str, reason: str
) -> None:
    subject = opened(serve(echo=echo))
    with pytest.raises(UsageError, match=reason):
        next(subject.answer(task := texts("red of is"), task.test))
    assert mode(subject, choices(render="plain")) == "letters, plain"
    with pytest.raises(UsageError, match="not proven right"):
        opened(serve(echo=echo), choices="echo").conditions(choices())


@pytest.mark.parametrize("whole", [True, False])
def test_an_outage_says_nothing_of_what_a_server_can_do(
    serve: Serve, opened: Opened, *, whole: bool
) -> None:
    server = serve()
    subject = opened(server, retries=0)
    plain = server.respond

    def away(path: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
        fails = path == "/completions" and (whole or body.get("echo"))
        return (503, {"error": {"message": "busy"}}) if fails else plain(path, body, headers)

    server.respond = away
    with pytest.raises(UsageError, match="/completions does not answer: HTTP 503: busy") as raised:
        subject.conditions(choices(render="plain"))
    assert "run the same command again when it does" in str(raised.value.fix)
    server.respond = plain
    assert mode(subject, choices(render="plain")) == "echo, plain"


@pytest.mark.parametrize("echoes", [True, False])
def test_a_server_that_breaks_over_a_request_cannot_do_it(
    serve: Serve, opened: Opened, *, echoes: bool
) -> None:
    server = serve()
    subject = opened(server, retries=0)
    plain = server.respond

    def breaking(path: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
        fails = path == "/completions" and (body.get("echo") or not echoes)
        return (500, {"error": "not implemented"}) if fails else plain(path, body, headers)

    server.respond = breaking
    wanted = "letters, plain" if echoes else "letters, plain in chat"
    assert mode(subject, choices(render="plain")) == wanted


@pytest.mark.parametrize(
    ("echoes", "change", "reason"),
    [
        (
            False,
            lambda reply: told(reply).update(token_logprobs=[0.5] * 4),
            "the log-probability of ' is' is 0.5",
        ),
        (
            False,
            lambda reply: told(reply).update(token_logprobs=[None] * 4),
            "the log-probability of ' is' is None",
        ),
        (
            False,
            lambda reply: told(reply).update(token_logprobs=[-5.0] * 4),
            "' is' is not the likeliest token, though none is to be drawn",
        ),
        (
            True,
            lambda reply: reply["usage"].update(completion_tokens=5),
            "it wrote 5 tokens where 1 was the most",
        ),
        (
            True,
            lambda reply: split(reply, 3),
            "it cuts a text into other tokens when it is echoed",
        ),
        (
            True,
            lambda reply: joined(reply, 6),
            "no token starts where the answer does",
        ),
        (
            True,
            lambda reply: told(reply)["tokens"].reverse(),
            "the echoed tokens are not those of the text",
        ),
    ],
)
def test_log_probabilities_that_cannot_be_right_are_not_believed(
    serve: Serve, opened: Opened, change: Change, reason: str, *, echoes: bool
) -> None:
    subject = opened(changing(serve(), change, echoes=echoes))
    with pytest.raises(UsageError) as caught:
        subject.conditions(texts("red of is"))
    assert caught.value.message.endswith(f"are not proven right: {reason}")


def test_a_later_token_without_likeliest_ones_is_no_reason_to_doubt_the_rest(
    serve: Serve, opened: Opened
) -> None:
    def without(reply: dict[str, Any]) -> None:
        told(reply)["top_logprobs"][1:] = [None] * (len(told(reply)["top_logprobs"]) - 1)

    assert mode(opened(changing(serve(), without, echoes=False)), texts("red")) == "echo, plain"


def test_a_character_that_is_cut_into_tokens_is_found_by_where_they_start(
    serve: Serve, opened: Opened
) -> None:
    plain = answers(opened(serve()), texts("red of is"))["t0"]

    def cut(reply: dict[str, Any]) -> None:
        told(reply)["tokens"][0] = "�"

    found = answers(opened(changing(serve(), cut, echoes=True)), texts("red of is"))["t0"]
    assert found.score is not None
    assert (found.score, found.readings) == (plain.score, plain.readings)


def test_a_text_with_a_token_of_unknown_likelihood_is_an_error_of_its_item(
    serve: Serve, opened: Opened
) -> None:
    server = serve()
    subject = opened(server)
    assert mode(subject, texts("red of is")) == "echo, plain"
    changing(server, lambda reply: told(reply)["token_logprobs"].insert(1, None), echoes=True)
    changing(server, lambda reply: told(reply)["token_logprobs"].pop(), echoes=True)
    result = answers(subject, texts("red of is"))["t0"]
    assert result.error == "a token of the answer has no log-probability"


@pytest.mark.parametrize(
    ("chat", "choice", "error"),
    [
        (True, {"text": "A"}, "a reply without a message"),
        (False, {"message": {"content": "A"}}, "a reply without a text"),
    ],
)
def test_a_reply_of_the_other_kind_is_an_error_of_its_item(
    serve: Serve, opened: Opened, choice: dict[str, Any], error: str, *, chat: bool
) -> None:
    server = serve(chat=chat)
    subject = opened(server, retries=0)
    assert mode(subject, questions(1)).endswith("in chat") == chat
    server.respond = lambda *_: (200, {"choices": [choice]})
    assert answers(subject, questions(1))["q0"].error == error


def test_no_request_asks_for_no_tokens(serve: Serve, opened: Opened) -> None:
    server = serve(endless=True)
    subject = opened(server)
    answers(subject, texts("red of"))
    answers(subject, choices(render="plain"))
    limits = [body["max_tokens"] for _, body in server.seen if body]
    assert min(limits) == 1


def test_fewer_likeliest_tokens_are_taken(serve: Serve, opened: Opened) -> None:
    server = serve(most_tops=5)
    assert mode(opened(server), choices()) == "letters, chat in chat"
    assert server.bodies()[-1]["top_logprobs"] == 5


@pytest.mark.parametrize("refused", ["max_tokens", "temperature", "repeat_penalty"])
def test_words_that_a_server_refuses_are_replaced(
    serve: Serve, opened: Opened, refused: str
) -> None:
    def respond(path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
        if refused in body:
            said = f"Unsupported parameter: {refused}; use max_completion_tokens or nothing"
            return 400, {"error": said if refused == "max_tokens" else f"Unsupported: {refused}"}
        return plain(path, body, headers)

    server = serve()
    plain, server.respond = server.respond, respond
    subject = opened(server)
    assert answers(subject, questions(1))["q0"].score == 1.0
    assert ("varies" in str(subject.notes()) or "vary" in str(subject.notes())) == (
        refused == "temperature"
    )


def test_plain_text_without_completions_is_asked_in_chat_with_a_note(
    serve: Serve, opened: Opened
) -> None:
    server = serve(completions=False)
    subject = opened(server)
    assert answers(subject, questions(1, render="plain"))["q0"].score == 1.0
    assert server.bodies()[-1]["messages"][-1]["content"] == "Question: Question 0?\nAnswer:"
    assert "plain texts are asked in chat" in subject.notes()[0]


def test_model_without_chat_is_asked_in_plain_text(serve: Serve, opened: Opened) -> None:
    subject = opened(serve(chat=False))
    assert mode(subject, questions()) == "generation, plain"
    with pytest.raises(UsageError, match="the endpoint has none"):
        subject.conditions(questions(render="chat"))


def test_a_conversation_is_not_asked_of_a_model_without_chat(serve: Serve, opened: Opened) -> None:
    turns = (Turn("user", "Red?"), Turn("assistant", "No."), Turn("user", "Blue?"))
    with pytest.raises(UsageError, match="task 'm' has conversations, but the endpoint") as caught:
        opened(serve(chat=False)).conditions(make_task("m", (), [Row("c", turns, "Yes.")]))
    assert caught.value.fix == "set  render: plain  for the task, or name a chat model"


def test_likelihoods_are_not_to_be_had_in_chat(serve: Serve, opened: Opened) -> None:
    subject = opened(serve(), choices="echo")
    for task, what in (
        (choices(render="chat"), "log-likelihoods of choices"),
        (texts("red", render="chat"), "log-likelihoods"),
    ):
        with pytest.raises(UsageError, match=f"{what} of an endpoint can be had for") as caught:
            subject.conditions(task)
        assert caught.value.fix == "set  render: plain  for the task"


def test_a_key_that_travels_unencrypted_is_told(serve: Serve, opened: Opened) -> None:
    note = "the key travels unencrypted; use an https address"
    subject = opened(serve(key="sk-of-this-test"), key="sk-of-this-test")
    assert note not in subject.notes()
    for address, is_told in (("http://example.org/v1", True), ("https://example.org/v1", False)):
        subject.config = replace(subject.config, base_url=address)
        assert (note in subject.notes()) == is_told


def test_messages_hold_system_turn_and_worked_examples(serve: Serve, opened: Opened) -> None:
    server = serve()
    shots = (exchange("s", "Shot?", "green", choices=("red", "green")),)
    task = make_task("m", (), choices(1).test, score="multiple_choice", shots=shots, system="Be.")
    answers(opened(server), task)
    messages = server.bodies()[-1]["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[2]["content"] == "B"


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"finish": "content_filter"}, "the endpoint's content filter withheld the answer"),
        ({"say": lambda _: None}, "there is no answer in the reply"),
        (
            {"say": lambda _: "", "finish": "length"},
            "nothing was said within the tokens that an answer may have",
        ),
        (
            {"say": lambda _: "", "finish": "length", "message": {"reasoning_content": "Hm"}},
            "reasoning used up the tokens that an answer may have",
        ),
        (
            {"say": lambda _: "<think>Well", "finish": "length"},
            "reasoning used up the tokens that an answer may have",
        ),
    ],
)
def test_reply_without_an_answer_is_an_error_of_its_item(
    serve: Serve, opened: Opened, settings: dict[str, Any], error: str
) -> None:
    result = answers(opened(serve(**settings)), questions(1))["q0"]
    assert (result.error, result.score) == (error, None)


@pytest.mark.parametrize("settings", [{}, {"finish": "length", "say": lambda _: "\n \n"}])
def test_silence_is_a_wrong_answer_as_it_is_of_a_local_model(
    serve: Serve, opened: Opened, settings: dict[str, Any]
) -> None:
    result = answers(opened(serve(**{"say": lambda _: "", **settings})), questions(1))["q0"]
    assert (result.error, result.score, result.output) == (None, 0.0, "")


def test_reasoning_is_left_out_and_has_tokens_of_its_own(serve: Serve, opened: Opened) -> None:
    server = serve(say=lambda _: "<think>\nHm, B or A?\n</think>\n\nA")
    subject = opened(server)
    assert answers(subject, questions(1))["q0"].output == "A"
    assert server.bodies()[-1]["max_tokens"] == 64 + 4096
    assert any("reasoning is not scored" in note for note in subject.notes())
    assert answers(subject, choices(1))["c0"].answer == "red"


def test_refusal_by_the_model_is_an_answer(serve: Serve, opened: Opened) -> None:
    server = serve(say=lambda _: "", message={"refusal": "I will not."})
    assert answers(opened(server), questions(1))["q0"].output == "I will not."


def test_conditions_are_those_of_the_asking_and_not_of_the_model(
    serve: Serve, opened: Opened
) -> None:
    first, second = opened(serve()), opened(serve(model="other"), model="other")
    assert first.conditions(choices()).differences(second.conditions(choices())) == []
    assert first.identity() != second.identity()
    row = choices().test[0]
    assert first.request(choices(), row) == second.request(choices(), row)
    weaker = opened(serve(letters=False))
    assert first.conditions(choices()).differences(weaker.conditions(choices())) == ["mode"]
    longer = first.conditions(questions(max_new_tokens=9))
    assert first.conditions(questions()).differences(longer) == ["generation"]


def test_what_a_server_says_of_a_model_is_told_and_does_not_make_it_another(
    serve: Serve, opened: Opened
) -> None:
    server = serve()
    plain, looks = server.respond, itertools.count(1)

    def respond(path: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
        status, reply = plain(path, body, headers)
        if path == "/models":
            reply["data"][0]["created"] = next(looks)
        return status, reply | {"system_fingerprint": f"fp_{next(looks)}"}

    server.respond = respond
    one, same = opened(server), opened(server)
    assert one.identity() == same.identity()
    about = {"endpoint": server.url, "model": "toy"}
    assert one.details() == about | {"created": "1", "system_fingerprint": "fp_3"}
    assert same.details() == about | {"created": "4", "system_fingerprint": "fp_6"}


@pytest.mark.parametrize(
    ("settings", "asked", "message"),
    [
        ({"key": "k"}, {}, r"wants a key, but \$OPENAI_API_KEY is not set"),
        ({}, {"model": "nosuch"}, "name a model that it offers: toy"),
        ({"chat": False, "completions": False}, {}, "which mostly ends in /v1"),
    ],
)
def test_endpoint_that_refuses_is_one_clear_message(
    serve: Serve, settings: dict[str, Any], asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        open_endpoint(serve(**settings).url, **asked)


def test_an_exhausted_account_is_told_when_an_endpoint_is_opened(serve: Serve) -> None:
    server = serve()
    server.respond = lambda *_: (429, {"error": {"message": "pay", "code": "insufficient_quota"}})
    with pytest.raises(UsageError, match=r"refused \(HTTP 429\): pay") as caught:
        open_endpoint(server.url)
    assert caught.value.fix == "check the account that the key belongs to"


def test_address_where_nobody_answers_is_told() -> None:
    with pytest.raises(UsageError, match="does not answer: the connection failed"):
        open_endpoint("http://127.0.0.1:9/v1")


def test_openai_without_a_key_is_refused_before_any_request() -> None:
    with pytest.raises(UsageError, match="OpenAI wants a key"):
        EndpointSubject(EndpointConfig.named("openai:gpt"))
