"""Every example in a docstring of the report runs as written."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from forgetless import report

MODULES = [info.name for info in pkgutil.walk_packages(report.__path__, f"{report.__name__}.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run_as_written(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder()
    cases = [case for name in MODULES for case in finder.find(importlib.import_module(name))]
    assert sum(bool(case.examples) for case in cases) >= 15
