"""Endpoints against two real servers on SmolLM2, and against one of them behind faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from forgetless.endpoints import EndpointSubject
from forgetless.endpoints.letters import lettered
from forgetless.errors import UsageError
from forgetless.evaluation.scorer import score_task
from forgetless.models.load import LoadedModel, load_model
from forgetless.models.source import find_model
from forgetless.plan import ModelConfig
from forgetless.tasks.task import Task
from tests.endpoints.build import answers, open_endpoint, texts
from tests.endpoints.faults import FAULTS, serving
from tests.endpoints.real import llama_cpp_server, transformers_serve
from tests.training.build import exchange, make_task

pytestmark = pytest.mark.slow

NAME = "bundled:smollm2-135m-instruct"
ASKED = [
    ("What is the capital of France?", "Paris", ("London", "Paris", "Rome", "Berlin")),
    ("What is the opposite of hot?", "cold", ("warm", "wet", "cold", "red")),
    ("How many days has a week?", "seven", ("five", "six", "seven", "eight")),
    ("Which animal barks?", "a dog", ("a cat", "a dog", "a cow", "a fish")),
    ("Which colour is grass?", "green", ("green", "blue", "pink", "black")),
    ("What do bees make?", "honey", ("milk", "bread", "wool", "honey")),
]


def asked(**settings: Any) -> Task:
    rows = [
        exchange(f"item-{number}", question, answer, choices=choices)
        for number, (question, answer, choices) in enumerate(ASKED)
    ]
    return make_task("asked", (), rows, **{"max_new_tokens": 16, **settings})


@pytest.fixture(scope="module")
def local() -> LoadedModel:
    return load_model(ModelConfig(name=NAME))


@pytest.fixture(scope="module")
def saved(local: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smollm2")
    local.model.save_pretrained(folder)
    local.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def transformers_url(saved: Path) -> Iterator[str]:
    with transformers_serve(saved) as url:
        yield url


@pytest.fixture(scope="module")
def llama_url(local: LoadedModel) -> Iterator[str]:
    with llama_cpp_server(Path(find_model(ModelConfig(name=NAME)).location)) as url:
        yield url


@pytest.fixture
def by_transformers(transformers_url: str, saved: Path) -> Iterator[EndpointSubject]:
    subject = open_endpoint(transformers_url, str(saved), timeout=120.0)
    yield subject
    subject.close()


@pytest.fixture
def by_llama(llama_url: str) -> Iterator[EndpointSubject]:
    subject = open_endpoint(llama_url, "smol", timeout=120.0)
    yield subject
    subject.close()


def outputs(loaded: LoadedModel, task: Task) -> dict[str, str | None]:
    return {r.item: r.output for batch in score_task(loaded, task, 1) for r in batch}


@pytest.mark.parametrize("render", ["chat", "plain"])
def test_greedy_answers_of_transformers_serve_are_our_own(
    local: LoadedModel, by_transformers: EndpointSubject, render: str
) -> None:
    task = asked(render=render)
    own = outputs(local, task)
    for item, result in answers(by_transformers, task).items():
        assert (result.output, result.error) == (own[item], None)


def test_transformers_serve_is_not_believed_to_have_likelihoods(
    by_transformers: EndpointSubject,
) -> None:
    task = asked(score="multiple_choice")
    assert by_transformers.conditions(task).parts["mode"] == "generation, chat in chat"
    assert any("it ignores logprobs" in note for note in by_transformers.notes())
    with pytest.raises(UsageError, match="not proven right: it ignores logprobs"):
        by_transformers.conditions(texts("Paris is in France."))


def test_llama_cpp_server_is_found_to_be_off_by_one(by_llama: EndpointSubject) -> None:
    with pytest.raises(UsageError, match=r"has log-probability .* when generated, .* when echoed"):
        by_llama.conditions(texts("Paris is in France."))


def test_llama_cpp_server_is_told_to_penalise_no_repetition(
    local: LoadedModel, by_llama: EndpointSubject
) -> None:
    task = asked(render="plain")
    own = outputs(local, task)
    same = [r.item for r in answers(by_llama, task).values() if (r.output or "") == own[r.item]]
    # it computes with the four-bit weights themselves, so some answers go another way
    assert len(same) >= len(own) / 2


def test_letters_of_llama_cpp_server_are_as_likely_as_by_our_own_likelihoods(
    local: LoadedModel, by_llama: EndpointSubject
) -> None:
    rows = asked().test  # the last three are worked examples, without which no letter is likely
    plain = {"score": "multiple_choice", "render": "plain"}
    task = make_task("asked", (), rows[:3], shots=rows[3:], **plain)
    assert by_llama.conditions(task).parts["mode"] == "letters, plain"
    listed = [lettered(row, "plain") for row in rows]
    alike = make_task("asked", (), listed[:3], shots=listed[3:], **plain)
    own = {r.item: r for batch in score_task(local, alike, 1) for r in batch}
    for item, result in answers(by_llama, task).items():
        assert result.prompt == own[item].prompt
        # It rounds activations to eight bits, and small letters count, too.
        assert result.readings["nll"] == pytest.approx(own[item].readings["nll"], abs=0.25)
        assert result.score == own[item].score


def test_max_tokens_of_zero_is_endless_to_llama_cpp_server_and_never_sent(
    llama_url: str, by_llama: EndpointSubject
) -> None:
    body = {"model": "smol", "prompt": "One two", "max_tokens": 0, "temperature": 0}
    reply = httpx2.post(f"{llama_url}/completions", json=body, timeout=300.0).json()
    assert reply["usage"]["completion_tokens"] > 1
    before = by_llama.usage.output_tokens
    answers(by_llama, asked(score="multiple_choice", render="plain"))
    assert by_llama.usage.output_tokens - before <= len(ASKED) * (1 + 16) + 8


def test_faults_between_us_and_a_real_server_change_no_answer(
    transformers_url: str, saved: Path, by_transformers: EndpointSubject
) -> None:
    def forward(path: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
        if not body:
            return 404, {}
        reply = httpx2.post(transformers_url + path, json=body, timeout=120.0)
        return reply.status_code, reply.json()

    calm = answers(by_transformers, asked())
    with serving(forward) as proxy:
        subject = open_endpoint(proxy.url, str(saved), timeout=8.0, retries=len(FAULTS))
        proxy.faults = list(FAULTS)
        try:
            assert answers(subject, asked()) == calm
        finally:
            subject.close()
        assert not proxy.faults
