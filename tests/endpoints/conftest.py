"""Scripted servers and endpoints that ask them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from forgetless.endpoints import EndpointSubject
from tests.endpoints.build import Opened, open_endpoint
from tests.endpoints.faults import Server, serving
from tests.endpoints.scripted import Scripted

Serve = Callable[..., Server]


@pytest.fixture(autouse=True)
def _no_key_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a scripted server with settings of its own."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(serving(Scripted(**settings)))


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens an endpoint of a server."""
    subjects: list[EndpointSubject] = []

    def opening(server: Server, **settings: Any) -> EndpointSubject:
        subjects.append(open_endpoint(server.url, **settings))
        return subjects[-1]

    yield opening
    for subject in subjects:
        subject.close()
