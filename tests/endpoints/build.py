"""Endpoints and tasks for tests."""

from __future__ import annotations

from typing import Any, Protocol

from forgetless.endpoints import EndpointConfig, EndpointSubject
from forgetless.endpoints.key import Key
from forgetless.evaluation.result import ItemResult
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task
from tests.endpoints.faults import Server
from tests.training.build import exchange, make_task


class Opened(Protocol):
    """Opens an endpoint of a server, to be closed at the end of the test."""

    def __call__(self, server: Server, **settings: Any) -> EndpointSubject: ...


def open_endpoint(url: str, model: str = "toy", key: str = "", **settings: Any) -> EndpointSubject:
    """An endpoint that waits for little."""
    patience = {"first_wait": 0.01, "timeout": 5.0, "concurrency": 4, "reasoning_tokens": None}
    return EndpointSubject(
        EndpointConfig(model=model, base_url=url, **{**patience, **settings}), Key(key)
    )


def answers(subject: EndpointSubject, task: Task) -> dict[str, ItemResult]:
    """Results by item id, each item once."""
    found = [result for batch in subject.answer(task, task.test) for result in batch]
    assert len({result.item for result in found}) == len(found)
    return {result.item: result for result in found}


def questions(count: int = 3, **settings: Any) -> Task:
    """Open questions, all of which are answered with "A"."""
    rows = [exchange(f"q{n}", f"Question {n}?", "a") for n in range(count)]
    return make_task("questions", (), rows, **settings)


def choices(count: int = 3, gold: str = "red", **settings: Any) -> Task:
    """Multiple choice between red, blue and green."""
    rows = [
        exchange(f"c{n}", f"Colour {n}?", gold, choices=("red", "blue", "green"))
        for n in range(count)
    ]
    return make_task("choices", (), rows, **{"score": "multiple_choice", **settings})


def texts(*contents: str, **settings: Any) -> Task:
    """Plain texts, scored by likelihood."""
    rows = [Row(f"t{n}", (), content) for n, content in enumerate(contents)]
    return make_task("texts", (), rows, **{"score": "nll", **settings})
