"""The house plan holds: who may import whom, and who may import torch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "forgetless"

# Each part and the parts that it imports; docs/architecture.md draws the same picture.
# What an audit, a comparison and a repair found is plain data, and a part of its own.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "showing": set(),
    "layout": set(),
    "progress": set(),
    "circumstances": set(),
    "storage": {"errors"},
    "processes": {"errors"},
    "launching": {"errors"},
    "locking": {"errors", "layout", "storage"},
    "plan": {"errors"},
    "metrics": {"errors", "tasks.twins"},
    "report": {
        *("errors", "metrics", "storage", "showing", "plan"),
        *("auditing.result", "comparing.result", "repairing.result"),
        *("layout", "tasks.twins"),
    },
    "tasks": {"errors", "plan", "models.reach", "tasks.twins"},
    "tasks.twins": set(),
    "models": {"errors", "plan", "storage", "processes", "layout", "models.reach"},
    "models.reach": set(),
    "methods": {
        *("errors", "plan", "storage", "processes", "launching", "tasks", "models", "layout"),
    },
    "training": {
        *("errors", "plan", "storage", "processes", "launching", "tasks", "models", "methods"),
        "models.reach",
    },
    "evaluation": {
        *("errors", "plan", "storage", "processes", "tasks", "models", "models.reach", "layout"),
    },
    "result": {"errors", "layout", "metrics", "report"},
    "budgeting": {"errors", "plan", "metrics", "tasks", "models", "methods", "guard"},
    "pinning": {"plan", "models"},
    "forewarning": {"plan", "methods", "tasks", "metrics"},
    "preparation": {
        *("errors", "plan", "processes", "tasks", "models", "methods", "budgeting", "endpoints"),
        *("evaluation", "pinning", "launching", "layout", "forewarning"),
    },
    "runfolder": {
        *("errors", "plan", "storage", "processes", "models", "tasks", "metrics", "result"),
        *("locking", "circumstances", "layout"),
    },
    "sharing": {"storage", "runfolder", "layout"},
    "stagework": {
        *("errors", "storage", "processes", "progress", "methods", "training"),
        *("metrics", "result", "report", "preparation", "runfolder", "sharing", "layout"),
    },
    "localwork": {
        *("errors", "plan", "storage", "processes", "tasks", "models", "models.reach", "methods"),
        *("training", "evaluation", "stagework", "layout"),
    },
    "endpoints": {"errors", "plan", "tasks", "evaluation"},
    "auditing": {
        *("endpoints", "exchange", "auditing.result"),
        *("errors", "plan", "progress", "tasks", "models", "evaluation", "metrics"),
    },
    "auditing.result": {"metrics"},
    "exchange": {
        *("errors", "storage", "tasks", "models", "models.reach", "evaluation", "metrics"),
        "tasks.twins",
    },
    "guard": {
        *("errors", "plan", "storage", "tasks", "models", "methods", "evaluation", "metrics"),
        "processes",
    },
    "hosted": {
        *("errors", "plan", "storage", "progress", "tasks", "models", "methods", "training"),
        *("evaluation", "endpoints", "preparation", "runfolder", "stagework", "layout"),
    },
    "serving": {
        *("errors", "plan", "storage", "progress", "tasks", "models", "methods", "hosted"),
        *("training", "evaluation", "models.reach"),
        *("sequence", "result", "locking", "layout"),
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
        *("stagework", "localwork", "hosted", "result", "layout"),
    },
    "comparing": {
        *("errors", "plan", "storage", "progress", "methods", "training", "models"),
        *("tasks", "evaluation", "metrics", "sequence", "result", "preparation", "locking"),
        *("comparing.result", "layout", "forewarning"),
    },
    "comparing.result": {"metrics"},
    "repairing": {
        *("errors", "plan", "progress", "tasks", "models", "evaluation", "metrics"),
        *("repairing.result", "layout"),
    },
    "repairing.result": {"metrics"},
    "estimate": {
        *("plan", "methods", "tasks", "models.reach", "models", "training", "evaluation"),
        "preparation",
    },
    "plan_writer": {"plan", "tasks", "forewarning"},
    "cli": {
        *("errors", "plan", "storage", "progress", "result", "report", "sequence", "estimate"),
        *("plan_writer", "auditing", "comparing", "repairing", "processes", "methods"),
        *("tasks", "models", "showing", "layout", "auditing.result"),
        *("hosted", "serving", "circumstances", "comparing.result"),
    },
    "__init__": {
        *("errors", "plan", "progress", "result", "sequence", "training", "auditing", "guard"),
        "auditing.result",
    },
    "__main__": {"cli"},
}


def files() -> Iterator[tuple[str, Path]]:
    """Every module of the house by its dotted name, without the house's own."""
    for file in sorted(SOURCE.rglob("*.py")):
        parts = file.relative_to(SOURCE).with_suffix("").parts
        yield ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts), file


def part_of(module: str) -> str:
    """The part of the house that a module belongs to."""
    return module if module in ALLOWED else module.split(".")[0]


def imported(file: Path) -> Iterator[str]:
    """Every name that a file imports, wherever in the file, with the module it is of."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(file: Path) -> Iterator[str]:
    """The modules of the house that a file imports."""
    for name in imported(file):
        house, _, inside = name.partition(".")
        if house == "forgetless":
            yield inside if inside in MODULES else inside.rpartition(".")[0] or "__init__"


MODULES = dict(files())
IMPORTS = {module: set(ours(file)) for module, file in MODULES.items()}


def test_every_part_of_the_house_is_on_the_plan() -> None:
    assert {part_of(module) for module in MODULES} == set(ALLOWED)


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_imports_go_where_the_plan_allows_and_the_plan_allows_no_others(part: str) -> None:
    used = {
        part_of(target): f"{module} imports {target}"
        for module, targets in IMPORTS.items()
        for target in targets
        if part_of(module) == part != part_of(target)
    }
    assert used.keys() == ALLOWED[part], used


@pytest.mark.parametrize("graph", [ALLOWED, IMPORTS], ids=["parts", "modules"])
def test_no_arrow_leads_back_to_where_it_came_from(graph: dict[str, set[str]]) -> None:
    TopologicalSorter(graph).prepare()  # names the cycle, if there is one


@pytest.mark.parametrize(
    "part",
    [
        *("errors", "layout", "plan", "metrics", "report", "result", "progress"),
        *("auditing.result", "comparing.result", "repairing.result"),
    ],
)
def test_results_are_read_without_torch(part: str) -> None:
    for module, file in MODULES.items():
        if part_of(module) == part:
            heavy = {name.split(".")[0] for name in imported(file)}
            assert heavy.isdisjoint({"torch", "transformers", "peft", "datasets"}), module


def test_no_module_has_more_than_500_lines() -> None:
    for file in MODULES.values():
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 500, file.name


def test_no_module_has_a_name_that_says_nothing() -> None:
    for file in MODULES.values():
        assert file.stem not in {"utils", "helpers", "common", "manager", "misc"}
