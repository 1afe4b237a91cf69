"""What a reader of the documents has at hand, under the names that they use, on tiny models."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import forgetless
from tests.cli.conftest import forgetless as call
from tests.tiny import build_model, colours, write_rows

__all__ = ["call"]  # a fixture

RESULTS = Path(__file__).parents[1] / "exchange" / "data" / "lm_eval"
ROWS, MANY = 20, 160  # of a task: a tenth is held out, and a budget needs 16 of them


@pytest.fixture(scope="session")
def models(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiny models, and two adapters of the first."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("BASE", "TUNED")):
        build_model(folder / name, seed=seed, context=2048)
    for name in ("law", "tax"):
        base = AutoModelForCausalLM.from_pretrained(folder / "BASE")
        config = LoraConfig(target_modules="all-linear", init_lora_weights=False)
        get_peft_model(base, config).save_pretrained(str(folder / "adapters" / name))
        AutoTokenizer.from_pretrained(folder / "BASE").save_pretrained(folder / "adapters" / name)
    return folder


def settings(**changes: Any) -> dict[str, Any]:
    """A plan of the reader's own."""
    return {
        "model": "BASE",
        "sequence": ["medical.jsonl", "legal.jsonl"],
        "training": {"epochs": 1},
        "output": "runs/first",
    } | changes


def write_tasks(folder: Path, count: int) -> None:
    """The rows of every task, so many of each."""
    for offset, name in enumerate(("medical", "legal", "old", "new", "exam")):
        write_rows(folder / f"{name}.jsonl", colours(offset, count))


@pytest.fixture(scope="session")
def world(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the documents name; it is copied for every page."""
    folder = tmp_path_factory.mktemp("world")
    shutil.copytree(models, folder, dirs_exist_ok=True)
    for name, source in {"MODEL": "BASE", "my-model": "BASE", "OUTPUT": "TUNED",
                         "models/tuned": "TUNED"}.items():  # fmt: skip
        shutil.copytree(models / source, folder / name)
    write_tasks(folder, ROWS)
    (folder / "tests").mkdir()
    shutil.copy(folder / "exam.jsonl", folder / "tests" / "exam.jsonl")
    choices = {"choices": ["red", "blue", "green"], "answer": 0}
    write_rows(folder / "general.jsonl", [{"question": f"{i}?"} | choices for i in range(24)])
    named = [
        row | {"question_text": row["prompt"], "reply": row["completion"]}
        for row in colours(7, ROWS)
    ]
    for name in ("legal.csv", "legal_test.csv"):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(named[0]))
            writer.writeheader()
            writer.writerows(named)
    (folder / "alpaca_en_demo.json").write_text(json.dumps(named), encoding="utf-8")
    (folder / "plan.yaml").write_text(yaml.safe_dump(settings()), encoding="utf-8")
    for name in ("before", "after"):
        found = next((RESULTS / name).iterdir())
        for place in ("results", "runs"):
            shutil.copytree(found, folder / place / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, methods in {"plan": ["replay"], "plain": [], "protected": ["replay"]}.items():
            forgetless.run(**settings(methods=methods, output=f"runs/{name}"))
    return folder


@pytest.fixture
def here(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Path:
    """A copy of that folder, entered; with more rows where time is no matter."""
    folder = tmp_path / "here"
    shutil.copytree(world, folder)
    if request.node.get_closest_marker("slow"):
        write_tasks(folder, MANY)
    monkeypatch.chdir(folder)
    return folder
