"""A small experiment that every integration test can vary."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forgetless.plan import Plan, make_plan
from tests.tiny import build_model, colours, write_rows

MakePlan = Callable[..., Plan]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, two tasks to train and one that is only tested."""
    folder = tmp_path_factory.mktemp("data")
    build_model(folder / "model")
    for name, offset in (("first", 0), ("second", 3)):
        write_rows(folder / f"{name}.jsonl", colours(offset))
        write_rows(folder / f"{name}_test.jsonl", colours(offset, count=4))
    write_rows(
        folder / "choices.jsonl",
        [{"question": f"pick {i}", "choices": ["a", "b", "c"], "answer": i % 3} for i in range(6)],
    )
    return folder


def settings(data: Path, output: Path, **changes: Any) -> dict[str, Any]:
    """Settings of a two-stage plan that takes about a second."""

    def task(name: str) -> dict[str, Any]:
        train, test = str(data / f"{name}.jsonl"), str(data / f"{name}_test.jsonl")
        return {"train": train, "test": test, "max_new_tokens": 8}

    training = {
        "epochs": 2,
        "batch_size": 4,
        "learning_rate": 3e-3,
        "scoring_batch_size": 6,
    } | changes.pop("training", {})
    return {
        "model": str(data / "model"),
        "sequence": [task("first"), task("second")],
        "test_only": [{"test": str(data / "choices.jsonl")}],
        "methods": [],
        "training": training,
        "output": str(output),
    } | changes


@pytest.fixture
def plan(data: Path, tmp_path: Path) -> MakePlan:
    """Make the small plan, with changes, writing below this test's own folder."""

    def make(name: str = "run", **changes: Any) -> Plan:
        return make_plan(settings(data, tmp_path / name, **changes))

    return make
