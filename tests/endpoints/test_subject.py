from __future__ import annotations

import math
from typing import Any

import pytest

from forgetless.endpoints import EndpointConfig, EndpointSubject
from forgetless.errors import UsageError
from tests.endpoints.build import Opened, answers, choices, open_endpoint, questions, texts
from tests.endpoints.conftest import Serve
from tests.endpoints.scripted import logprob
from tests.training.build import exchange, make_task


def mode(subject: EndpointSubject, task: Any) -> str:
    return subject.conditions(task).parts["mode"]


def test_likeliest_letter_is_the_choice(serve: Serve, opened: Opened) -> None:
    first = {"A": -2.0, " B": -1.0, "b": -1.2, "The": -0.9}
    subject = opened(serve(first=first, say=lambda _: "The"))
    result = answers(subject, choices(1, gold="blue"))["c0"]
    assert (result.answer, result.score, result.correct) == ("blue", 1.0, True)
    assert result.readings["nll"] == pytest.approx(-math.log(math.exp(-1.0) + math.exp(-1.2)))


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


def test_identity_follows_what_the_server_says(serve: Serve, opened: Opened) -> None:
    server = serve()
    one, same = opened(server), opened(server)
    assert one.identity() == same.identity()
    assert one.details() == {
        "endpoint": server.url, "model": "toy", "created": "1700000000",
        "system_fingerprint": "fp_1",
    }  # fmt: skip


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


def test_address_where_nobody_answers_is_told() -> None:
    with pytest.raises(UsageError, match="does not answer: the connection failed"):
        open_endpoint("http://127.0.0.1:9/v1")


def test_openai_without_a_key_is_refused_before_any_request() -> None:
    with pytest.raises(UsageError, match="OpenAI wants a key"):
        EndpointSubject(EndpointConfig.named("openai:gpt"))
