"""Code in the documents is code that works: commands exist, plans are valid, Python compiles."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import pytest
import typer
import yaml

from forgetless.cli import app
from forgetless.methods.compose import Compose
from forgetless.methods.recipe import resolved_methods
from forgetless.plan import Plan, make_plan
from tests.documents.blocks import PAGES, Block, blocks, commands

COMMANDS: dict[str, Any] = cast("Any", typer.main.get_command(app)).commands
BLOCKS = blocks()
CALLS = [
    (f"{block.place} {' '.join(words)}", words)
    for block in BLOCKS
    if block.kind in {"", "bash", "yaml"}
    for words in commands(block)
]


@pytest.mark.parametrize("words", [words for _, words in CALLS], ids=[name for name, _ in CALLS])
def test_every_command_in_the_documents_is_taken_as_it_stands(words: list[str]) -> None:
    if words != ["--install-completion"]:
        COMMANDS[words[0]].make_context(words[0], words[1:])


def test_commands_in_the_documents_are_not_overlooked() -> None:
    assert {words[0] for _, words in CALLS} >= set(COMMANDS) - {"methods"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_within_a_sentence_has_its_name_and_its_options(page: Path) -> None:
    for said in re.findall(r"`forgetless ([a-z]+\b[^`\n]*)`", page.read_text(encoding="utf-8")):
        name, *words = said.split()
        known = {option for param in COMMANDS[name].params for option in param.opts}
        named = {word.split("=")[0] for word in words if word.startswith("-")}
        assert named <= known | {"--help"}, said


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_asks_a_package_index_for_forgetless_which_is_on_none(page: Path) -> None:
    assert not re.search(r"pip install [^`#\n]*\bforgetless\b", page.read_text(encoding="utf-8"))


def plans() -> list[tuple[str, dict[str, Any]]]:
    found = []
    for block in BLOCKS:
        if block.kind.split(" ")[0] == "yaml":
            data = yaml.safe_load(block.text)
            if set(data) <= set(Plan.model_fields):
                found.append((block.place, data))
    return found


@pytest.mark.parametrize(("place", "data"), plans())
def test_every_plan_in_the_documents_is_valid_and_so_is_every_part_of_one(
    place: str, data: dict[str, Any]
) -> None:
    whole: dict[str, Any] = {"model": "m", "sequence": ["medical.jsonl", "legal.jsonl"], **data}
    plan = make_plan(whole, place)
    if plan.hosted is None and not plan.model.name.startswith("openai:"):
        Compose.from_plan(resolved_methods(plan))


PYTHON = [pytest.param(block, id=block.place) for block in BLOCKS if block.kind == "python"]


@pytest.mark.parametrize("block", PYTHON)
def test_python_in_the_documents_compiles_and_what_it_imports_of_ours_exists(block: Block) -> None:
    tree = ast.parse(block.text, block.place)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("forgetless"):
            assert node.module is not None
            home = import_module(node.module)
            assert all(hasattr(home, name.name) for name in node.names), ast.unparse(node)
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "forgetless"
        ):
            assert node.attr in import_module("forgetless").__all__, ast.unparse(node)
