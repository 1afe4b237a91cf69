"""What is written about the code is true of it: doctests, the plan reference, the help texts."""

from __future__ import annotations

import doctest
import importlib
import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

import forgetless
from forgetless.methods import METHODS
from forgetless.metrics import (
    ScoreMatrix,
    average_accuracy,
    backward_transfer,
    forgetting,
    forward_transfer,
    learning_accuracy,
    mcnemar,
)
from forgetless.plan import Config, ModelConfig, Plan, TaskConfig, TrainingConfig

from .metrics.build import by_hand

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


def test_the_python_reference_is_what_the_code_says() -> None:
    written = runpy.run_path(str(ROOT / "docs" / "make_api_reference.py"))["reference"]()
    assert (ROOT / "docs" / "api.md").read_text(encoding="utf-8") == written, (
        "run: python docs/make_api_reference.py"
    )


def test_the_python_reference_lists_just_what_is_public() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    top, _, methods = page.partition("## Methods for protect")
    listed = re.findall(r"^### (\w+)$", top, re.MULTILINE)
    assert sorted([*listed, "__version__"]) == sorted(forgetless.__all__)
    assert set(re.findall(r"^\| `(\w+)` \|", methods, re.MULTILINE)) == {
        method.__name__ for method in METHODS.values()
    }


def test_figures_on_the_page_of_concepts_are_those_of_its_matrix() -> None:
    page = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    picture = (ROOT / "docs" / "pictures" / "matrix.svg").read_text(encoding="utf-8")
    scores = [float(cell) for cell in re.findall(r">(\d\.\d\d)<", picture)]
    columns = {"medical": 1, "legal": 2, "finance": 3, "general": None}
    matrix = by_hand(
        unit="accuracy", **{n: (t, scores[j::4]) for j, (n, t) in enumerate(columns.items())}
    )
    tasks = {task: forgetting(matrix, task) for task in ("medical", "legal", "general")}
    assert tasks == {name: pytest.approx(loss) for name, loss in _forgotten(page).items()}
    figures: dict[Callable[[ScoreMatrix], float], str] = {
        average_accuracy: "= 0.65\n",
        learning_accuracy: "= 0.73\n",
        forward_transfer: "/ 2 = 0.10\n",
        backward_transfer: "/ 2 = −0.125.",
    }
    for figure, said in figures.items():
        assert said in page
        told = float(said.strip("/2= \n").rstrip(".").replace("−", "-"))
        assert figure(matrix) == pytest.approx(told, abs=0.005)
    for lost, gained, p in re.findall(r"^\| (\d+) \| (\d+) \| (0\.\d+) \|", page, re.MULTILINE):
        assert mcnemar(int(lost), int(gained)) == pytest.approx(float(p), rel=0.03)


def _forgotten(page: str) -> dict[str, float]:
    rows = re.findall(
        r"^\| (\w+)(?:, only tested)? \| .*\) \| .* \| (\d\.\d+) \|$", page, re.MULTILINE
    )
    return {name: float(loss) for name, loss in rows}


def test_every_benchmark_is_on_the_page_that_says_how_we_know() -> None:
    page = (ROOT / "docs" / "how_we_know.md").read_text(encoding="utf-8")
    scripts = [*(ROOT / "benchmarks").glob("[a-z]*.py")]
    assert ROOT / "benchmarks" / "methods.py" in scripts
    for script in scripts:
        assert f"\n| `{script.stem}" in page, script.stem
    for test in re.findall(r"`(tests/[\w/.]+)`", page):
        assert (ROOT / test).exists(), test


def test_every_picture_says_what_it_shows_to_those_who_do_not_see_it() -> None:
    pictures = [*(ROOT / "docs" / "pictures").glob("*.svg")]
    assert pictures
    for picture in pictures:
        text = picture.read_text(encoding="utf-8")
        said = dict(re.findall(r"<(title|desc|style)[^>]*>(.*?)</", text, re.DOTALL))
        assert len(said["title"]) > 10, picture.name
        assert len(said["desc"]) > 60, picture.name
        assert "prefers-color-scheme: dark" in said["style"], picture.name


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
