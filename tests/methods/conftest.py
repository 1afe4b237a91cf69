"""For all tests of methods: probes that can be planned, and a model that says what it is told."""

from __future__ import annotations

from typing import Any

import pytest

from forgetless.methods import METHODS
from forgetless.methods.parts import sampling
from tests.methods.probes import PROBES
from tests.methods.scripted import Says, Script


@pytest.fixture(autouse=True)
def _probes_can_be_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {**METHODS, **PROBES}
    monkeypatch.setattr("forgetless.methods.METHODS", known)
    monkeypatch.setattr("forgetless.methods.compose.METHODS", known)


@pytest.fixture
def padded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are padded, never read as a forest: so they can be counted in a pass."""
    monkeypatch.setattr("forgetless.models.rows.COST", {})


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Says:
    """Puts words into the model's mouth; returns what it was asked, call by call."""

    def put(script: Script) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []

        def scripted(
            model: Any, prompts: Any, longest: int, stops: Any, **more: Any
        ) -> list[list[int]]:
            calls.append({"prompts": prompts, "longest": longest, "stops": set(stops), **more})
            return script(prompts)

        monkeypatch.setattr(sampling, "continuations", scripted)
        return calls

    return put
