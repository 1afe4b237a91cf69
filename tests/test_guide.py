"""The guide for users of other tools: its rows are read, its plans valid, its code tested."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from forgetless.methods.compose import Compose
from forgetless.methods.recipe import resolved_methods
from forgetless.plan import TaskConfig, TrainingConfig, make_plan
from forgetless.tasks.formats import detect_format, read_row

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "from_your_script.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize(
    "line", [row for block in blocks("json row") for row in block.splitlines()]
)
def test_every_row_that_the_guide_shows_is_read(line: str) -> None:
    record = json.loads(line)
    shape = detect_format(set(record))
    assert shape is not None
    row = read_row(record, shape, 0)
    assert row.answer in {"blue", "green", "It rains.", "The sky is blue."}


@pytest.mark.parametrize("text", blocks("yaml plan"))
def test_every_plan_that_the_guide_shows_is_valid(text: str) -> None:
    plan = make_plan(yaml.safe_load(text))
    Compose.from_plan(resolved_methods(plan))


def test_every_key_that_the_guide_translates_to_is_one_of_a_plan() -> None:
    for name in re.findall(r"`training\.(\w+)`", GUIDE):
        assert name in TrainingConfig.model_fields
    assert "hold_out" in TaskConfig.model_fields


def test_the_code_of_the_guide_is_that_of_the_tested_example() -> None:
    example = (ROOT / "examples" / "own_trainer" / "sft_trainer.py").read_text(encoding="utf-8")
    (block,) = blocks("python")
    lines = [line.strip() for line in example.splitlines()]
    assert all(line in lines for line in block.splitlines())
