"""What is written about the code is true of it: doctests, the plan reference, the help texts."""

from __future__ import annotations

import doctest
import importlib
import runpy
from pathlib import Path

import pytest

from forgetless.methods import METHODS
from forgetless.plan import Config, ModelConfig, Plan, TaskConfig, TrainingConfig

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"


def with_examples() -> list[str]:
    return [
        ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for file in sorted(SOURCE.rglob("*.py"))
        if ">>>" in file.read_text(encoding="utf-8")
    ]


@pytest.mark.parametrize("name", with_examples())
def test_examples_in_docstrings_give_what_they_say(name: str) -> None:
    """Names that the example of a module defines are known to the examples of its functions."""
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner()
    shared = dict(vars(module))
    first = doctest.DocTestParser().get_doctest(module.__doc__ or "", shared, name, name, 0)
    runner.run(first, clear_globs=False)
    shared.update(first.globs)
    for test in doctest.DocTestFinder().find(module, name, globs=shared):
        if test.name != name:
            runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


def test_the_plan_reference_is_what_the_code_says() -> None:
    written = runpy.run_path(str(ROOT / "docs" / "make_plan_reference.py"))["reference"]()
    assert (ROOT / "docs" / "plan.md").read_text(encoding="utf-8") == written, (
        "run: python docs/make_plan_reference.py"
    )


def test_every_method_has_a_page_that_says_when_what_it_costs_and_where_it_comes_from() -> None:
    for name in METHODS:
        page = (ROOT / "docs" / "methods" / f"{name}.md").read_text(encoding="utf-8")
        for wanted in ("**When to use it.**", "**Cost.**", "**Source.**"):
            assert wanted in page, f"{name}.md has no {wanted}"


def test_every_option_is_described() -> None:
    plan: list[type[Config]] = [Plan, ModelConfig, TaskConfig, TrainingConfig]
    configs = [*plan, *(method.Config for method in METHODS.values())]
    for config in configs:
        for name, field in config.model_fields.items():
            assert field.description, f"{config.__name__}.{name}"
