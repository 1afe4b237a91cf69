"""``forgetless demo``: what it leaves the reader with; the real one is in tests/integration."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetless.plan import load_plan
from tests.cli.conftest import Forgetless


@pytest.fixture
def tiny_demo(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo on the tiny model."""
    names = {"plain": "methods=[]", "protected": "methods=replay"}
    made = tuple(load_plan(plan, [f"output=runs/{name}", way]) for name, way in names.items())
    monkeypatch.setattr("forgetless.cli.demo.plans", lambda *_: made)


@pytest.mark.usefixtures("tiny_demo")
def test_it_ends_with_the_command_to_type_next(forgetless: Forgetless) -> None:
    code, out, _ = forgetless("demo", "--quiet", "--output", "runs")
    assert code == 0
    report, following = out.splitlines()[-2:]
    assert report == "report: runs/report.html"
    assert following == "next, with your own data:  forgetless init medical.jsonl legal.csv"
