"""Chat and completions of the server, held against the model itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import torch
from openai.types.fine_tuning import FineTuningJob
from starlette.testclient import TestClient

from forgetless.endpoints import EndpointSubject
from forgetless.evaluation.scorer import score_task
from forgetless.models.load import LoadedModel, load_model
from forgetless.plan import ModelConfig
from forgetless.result import RunResult
from forgetless.serving.app import application
from forgetless.serving.config import ServerConfig
from forgetless.tasks.render import Renderer
from forgetless.tasks.row import Row, Turn
from tests.endpoints.build import answers, open_endpoint
from tests.serving.build import Served
from tests.tiny import CHAT_TEMPLATE, build_model
from tests.training.build import exchange, make_task, with_added_token

pytestmark = pytest.mark.system

Chain = tuple[FineTuningJob, FineTuningJob]


@pytest.fixture(scope="module")
def local(served: Served, chain: Chain) -> LoadedModel:
    """The model that the chain made, loaded here."""
    run = RunResult(served.config.folder / "jobs" / chain[1].id / "run")
    return load_model(ModelConfig(name=served.config.model), "cpu", run.model_path().parent)


@pytest.fixture
def subject(served: Served, chain: Chain) -> Iterator[EndpointSubject]:
    found = open_endpoint(served.url, str(chain[1].fine_tuned_model), timeout=120.0)
    yield found
    found.close()


def test_greedy_answers_are_those_of_the_model_loaded_here(
    local: LoadedModel, subject: EndpointSubject
) -> None:
    rows = [exchange(f"q{n}", f"colour 3-{n}?", "red") for n in range(6)]
    task = make_task("colours", (), rows, max_new_tokens=8)
    own = {r.item: r.output for batch in score_task(local, task, 1) for r in batch}
    assert {item: result.output for item, result in answers(subject, task).items()} == own
    assert len(set(own.values())) > 1


def test_an_echo_has_the_text_s_own_tokens_and_log_probabilities(
    served: Served, chain: Chain, local: LoadedModel
) -> None:
    text = "colour 3-1? Größe"
    run = served.client.completions.create(
        model=str(chain[1].fine_tuned_model),
        prompt=text,
        max_tokens=1,
        temperature=0,
        echo=True,
        logprobs=2,
    )
    told = run.choices[0].logprobs
    assert told is not None
    assert told.tokens is not None
    assert told.token_logprobs is not None
    ids = local.tokenizer(text)["input_ids"]
    with torch.inference_mode():
        rows = torch.log_softmax(local.model(torch.tensor([ids])).logits[0], -1)
    wanted = [float(rows[place, token]) for place, token in enumerate(ids[1:])]
    worth: list[Any] = [*told.token_logprobs]
    assert worth[0] is None
    assert worth[1 : len(ids)] == pytest.approx(wanted, abs=1e-5)
    assert "".join(told.tokens[: len(ids)]) == text
    assert told.text_offset == [len("".join(told.tokens[:n])) for n in range(len(told.tokens))]
    assert run.choices[0].text.startswith(text)


def test_an_echo_without_log_probabilities_works_none_out(
    served: Served, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worked_out(*_: Any) -> None:
        raise AssertionError("nobody asked for them")

    monkeypatch.setattr("forgetless.serving.asking.echoed", worked_out)
    ask = served.client.completions.create
    model = str(chain[1].fine_tuned_model)
    told = ask(model=model, prompt="colour 3-1?", max_tokens=0, echo=True)
    assert told.choices[0].text == "colour 3-1?"
    with pytest.raises(openai.InternalServerError):  # it is what would have worked them out
        ask(model=model, prompt="colour 3-1?", max_tokens=0, echo=True, logprobs=1)


def test_logprobs_in_chat_are_the_model_s_log_softmax(served: Served, local: LoadedModel) -> None:
    run = served.client.chat.completions.create(
        model=[model.id for model in served.client.models.list()][2],
        messages=[{"role": "user", "content": "colour 3-1?"}],
        max_tokens=1,
        temperature=2.0,
        seed=3,
        logprobs=True,
        top_logprobs=5,
    )
    row = Row("", (Turn("user", "colour 3-1?"),), "")
    ids = Renderer(local.tokenizer, "chat").prompt_ids(row)
    with torch.inference_mode():
        wanted = torch.log_softmax(local.model(torch.tensor([ids])).logits[0, -1], -1)
    assert run.choices[0].logprobs is not None
    assert run.choices[0].logprobs.content is not None
    (token,) = run.choices[0].logprobs.content
    values = [top.logprob for top in token.top_logprobs]
    assert values == pytest.approx(wanted.topk(5).values.tolist(), abs=1e-5)
    assert run.usage is not None
    assert (run.usage.prompt_tokens, run.usage.completion_tokens) == (len(ids), 1)


def test_a_stream_says_what_the_whole_says_and_a_stop_ends_both(served: Served) -> None:
    def ask(**more: Any) -> str:
        run: Any = served.client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": "say something"}],
            max_tokens=12,
            temperature=1.5,
            seed=5,
            **more,
        )
        if not more.get("stream"):
            return str(run.choices[0].message.content)
        return "".join(chunk.choices[0].delta.content or "" for chunk in run)

    whole = ask()
    assert len(whole) > 6
    assert ask(stream=True) == whole
    stop = whole[4:6]
    cut = whole[: whole.index(stop)]
    assert ask(stop=[stop]) == ask(stop=stop, stream=True) == cut


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n": 2}, "n is too large: 2. One answer is written for a request"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "role"),
        ({"max_tokens": 1000}, "context is 256 tokens"),
        ({"extra_body": {"mirostat": 1}}, "Unknown parameter: 'mirostat'"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    served: Served, wrong: dict[str, object], message: str
) -> None:
    request = {"model": "tiny", "messages": [{"role": "user", "content": "a"}]} | wrong
    with pytest.raises(openai.BadRequestError, match=message):
        served.client.chat.completions.create(**request)  # type: ignore[call-overload]


def test_a_conversation_goes_on_with_the_message_that_the_server_sent(served: Served) -> None:
    messages: list[Any] = [{"role": "user", "content": "say something"}]
    for _ in range(2):
        run = served.client.chat.completions.create(model="tiny", messages=messages, max_tokens=2)
        messages.append(run.choices[0].message)
    assert len(messages) == 3
    dumped = [messages[0], messages[1].model_dump(), messages[0]]
    served.client.chat.completions.create(model="tiny", messages=dumped, max_tokens=1)


NULLS = ("temperature", "stop", "seed", "stream", "n", "top_p", "max_tokens", "logprobs", "user")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("completions", {"prompt": "a", "best_of": 1, "echo": None, "top_p": 1.0}),
        (
            "chat/completions",
            {"response_format": {"type": "text"}, "tools": [], "store": False, "logit_bias": {}}
            | dict.fromkeys(("tool_choice", "top_logprobs", "stream_options")),
        ),
    ],
)
def test_null_and_values_that_change_nothing_are_taken(
    served: Served, path: str, body: dict[str, Any]
) -> None:
    messages = [{"role": "user", "content": "a"}]
    body = {"model": "tiny", **dict.fromkeys(NULLS), **body}
    if path != "completions":
        body |= {"messages": messages, "max_completion_tokens": 1}
    assert httpx2.post(f"{served.url}/{path}", json=body, timeout=300).status_code == 200


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stream": True, "logprobs": True}, "logprobs: a stream has none here"),
        ({"top_logprobs": 3}, "top_logprobs is 3, but logprobs is not set"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
    ],
)
def test_what_would_be_ignored_is_refused(
    served: Served, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=message) as caught:
        served.client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "a"}], **wrong
        )
    assert str(caught.value.param) in message


@pytest.mark.parametrize("told", [False, True])
def test_a_stream_tells_its_usage_at_the_end_if_it_is_asked_to(
    served: Served, *, told: bool
) -> None:
    chunks = list(
        served.client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": "say something"}],
            max_tokens=3,
            stream=True,
            stream_options={"include_usage": told},
        )
    )
    assert all(chunk.usage is None and chunk.choices for chunk in chunks[:-1])
    if told:
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens > 0
    assert (chunks[-1].choices == []) == (chunks[-1].usage is not None) == told


def test_completions_are_not_streamed(served: Served) -> None:
    with pytest.raises(openai.BadRequestError, match="only chat is streamed here") as caught:
        served.client.completions.create(model="tiny", prompt="a", stream=True)
    assert caught.value.param == "stream"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "tiny has no chat template: ask /completions"),
        (
            "{% if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}"
            f"{{% endif %}}{CHAT_TEMPLATE}",
            "no system turn",
        ),
    ],
)
def test_what_a_model_s_chat_template_does_not_take_is_refused(
    tmp_path: Path, template: str | None, message: str, *, stream: bool
) -> None:
    model = build_model(tmp_path / "model", chat=template is not None)
    if template is not None:
        (model / "chat_template.jinja").write_text(template)
    config = ServerConfig(str(model), tmp_path / "served", "tiny")
    client = TestClient(application(config), "http://localhost")
    turns = [{"role": "system", "content": "Be."}, {"role": "user", "content": "a"}]
    body = {"model": "tiny", "messages": turns, "stream": stream}
    said = client.post("/v1/chat/completions", json=body)
    assert said.status_code == 400
    assert message in said.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", {"messages": [{"role": "user", "content": "a zebra"}]}),
        ("completions", {"prompt": "a zebra", "max_tokens": 1}),
    ],
)
def test_a_token_that_the_model_has_no_weights_for_is_refused(
    tmp_path: Path, tiny_model: Path, path: str, body: dict[str, Any]
) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    with_added_token(tiny_model, "zebra").tokenizer.save_pretrained(tmp_path / "model")
    config = ServerConfig(str(tmp_path / "model"), tmp_path / "served", "tiny")
    client = TestClient(application(config), "http://localhost")
    said = client.post(f"/v1/{path}", json={"model": "tiny", **body})
    assert said.status_code == 400
    assert "token 'zebra' has number 261" in said.json()["error"]["message"]
