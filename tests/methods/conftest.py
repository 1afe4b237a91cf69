"""The probes are methods of the plan in these tests."""

from __future__ import annotations

import pytest

from forgetless.methods import METHODS
from tests.methods.probes import PROBES


@pytest.fixture(autouse=True)
def _probes_can_be_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forgetless.methods.compose.METHODS", {**METHODS, **PROBES})
