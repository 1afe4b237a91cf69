from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import forgetless.metrics

MODULES = [module.name for module in pkgutil.iter_modules(forgetless.metrics.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name: str) -> None:
    """Names that the example of a module defines are known to the examples of its functions."""
    module = importlib.import_module(f"forgetless.metrics.{name}")
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    shared = dict(vars(module))
    first = parser.get_doctest(module.__doc__ or "", shared, name, module.__file__, 0)
    runner.run(first, clear_globs=False)
    shared.update(first.globs)
    for test in doctest.DocTestFinder().find(module, name, globs=shared):
        if test.name != name:
            runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


def test_there_are_examples_to_check() -> None:
    modules = [importlib.import_module(f"forgetless.metrics.{name}") for name in MODULES]
    tests = [test for module in modules for test in doctest.DocTestFinder().find(module)]
    assert sum(bool(test.examples) for test in tests) >= 20
