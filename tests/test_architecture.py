"""The house plan holds: who may import whom, and who may import torch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "forgetless"

# Each part and the parts that it may import; docs/architecture.md draws the same picture.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "showing": set(),
    "progress": set(),
    "circumstances": set(),
    "storage": {"errors"},
    "processes": {"errors"},
    "launching": {"errors"},
    "locking": {"errors", "storage"},
    "plan": {"errors"},
    "metrics": {"errors"},
    "report": {
        *("errors", "metrics", "storage", "showing", "plan"),
        *("auditing", "comparing", "repairing"),  # plain data
    },
    "tasks": {"errors", "plan"},
    "models": {"errors", "plan", "storage", "processes"},
    "methods": {"errors", "plan", "storage", "processes", "launching", "tasks", "models"},
    "training": {
        *("errors", "plan", "storage", "processes", "launching", "tasks", "models", "methods"),
    },
    "evaluation": {"errors", "plan", "storage", "processes", "tasks", "models"},
    "result": {"metrics", "report"},
    "budgeting": {"errors", "plan", "metrics", "tasks", "models", "methods", "guard"},
    "pinning": {"errors", "plan", "models"},
    "preparation": {
        *("errors", "plan", "processes", "tasks", "models", "methods", "budgeting", "endpoints"),
        *("pinning", "launching"),
    },
    "runfolder": {
        *("errors", "plan", "storage", "processes", "models", "tasks", "metrics", "result"),
        *("locking", "circumstances"),
    },
    "stagework": {
        *("errors", "storage", "processes", "progress", "methods", "training"),
        *("metrics", "result", "report", "preparation", "runfolder"),
    },
    "localwork": {
        *("errors", "plan", "storage", "processes", "tasks", "models", "methods"),
        *("training", "evaluation", "runfolder", "stagework"),
    },
    "endpoints": {"errors", "plan", "storage", "tasks", "evaluation"},
    "auditing": {
        *("endpoints", "exchange"),
        *("errors", "plan", "storage", "progress", "tasks", "models", "evaluation", "metrics"),
    },
    "exchange": {"errors", "storage", "tasks", "models", "evaluation", "metrics"},
    "guard": {
        *("errors", "plan", "storage", "tasks", "models", "methods", "evaluation", "metrics"),
        "processes",
    },
    "hosted": {
        *("errors", "plan", "storage", "progress", "tasks", "models", "methods", "training"),
        *("evaluation", "endpoints", "preparation", "runfolder", "stagework"),
    },
    "serving": {
        *("errors", "plan", "storage", "progress", "tasks", "models", "methods", "hosted"),
        *("training", "evaluation"),
        *("sequence", "result", "locking"),
    },
    "sequence": {
        *(
            "errors",
            "plan",
            "processes",
            "launching",
            "storage",
            "progress",
            "methods",
            "preparation",
            "runfolder",
        ),
        *("stagework", "localwork", "hosted", "result"),
    },
    "comparing": {
        *("errors", "plan", "storage", "progress", "methods", "training", "models"),
        *("tasks", "evaluation", "metrics", "sequence", "result", "preparation", "locking"),
    },
    "repairing": {
        *("errors", "plan", "progress", "tasks", "models", "evaluation", "metrics"),
    },
    "estimate": {
        "errors",
        "plan",
        "methods",
        "tasks",
        "models",
        "training",
        "evaluation",
        "preparation",
    },
    "plan_writer": {"plan", "tasks"},
    "cli": {
        *("errors", "plan", "storage", "progress", "result", "report", "sequence", "estimate"),
        *("plan_writer", "auditing", "comparing", "repairing", "processes", "methods"),
        *("tasks", "models", "showing"),
        *("hosted", "serving", "circumstances"),
    },
    "__init__": {
        *("errors", "plan", "progress", "result", "sequence", "training", "auditing", "guard"),
    },
    "__main__": {"cli"},
}


def modules() -> Iterator[tuple[str, Path]]:
    for file in sorted(SOURCE.rglob("*.py")):
        relative = file.relative_to(SOURCE)
        yield (relative.parts[0] if len(relative.parts) > 1 else file.stem), file


def imported(file: Path) -> set[str]:
    """Every module that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            assert node.module is not None
            names.add(node.module)
            if node.module == "forgetless":
                names.update(f"forgetless.{alias.name}" for alias in node.names)
    return names


def test_every_part_of_the_house_is_on_the_plan() -> None:
    assert {part for part, _ in modules()} == set(ALLOWED)


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_imports_go_only_where_the_plan_allows(part: str) -> None:
    for owner, file in modules():
        if owner != part:
            continue
        for name in imported(file):
            if name.startswith("forgetless."):
                target = name.split(".")[1]
                assert target == part or target in ALLOWED[part], f"{file.name} imports {name}"


@pytest.mark.parametrize("part", ["auditing", "comparing", "repairing"])
def test_what_was_found_is_plain_data_that_a_report_may_read(part: str) -> None:
    of_ours = {name for name in imported(SOURCE / part / "result.py") if "forgetless" in name}
    assert all(name.startswith("forgetless.metrics") for name in of_ours)
    for owner, file in modules():
        if owner == "report":
            taken = {name for name in imported(file) if name.startswith(f"forgetless.{part}")}
            assert taken <= {f"forgetless.{part}.result"}, file.name


@pytest.mark.parametrize("part", ["errors", "plan", "metrics", "report", "result", "progress"])
def test_results_are_read_without_torch(part: str) -> None:
    for owner, file in modules():
        if owner == part:
            heavy = {name.split(".")[0] for name in imported(file)}
            assert heavy.isdisjoint({"torch", "transformers", "peft", "datasets"}), file.name


def test_no_module_has_more_than_500_lines() -> None:
    for _, file in modules():
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 500, file.name


def test_no_module_has_a_name_that_says_nothing() -> None:
    for _, file in modules():
        assert file.stem not in {"utils", "helpers", "common", "manager", "misc"}
