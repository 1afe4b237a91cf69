"""Help is complete, has an example that works, and costs next to nothing."""

from __future__ import annotations

import os
import re
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer

from forgetless.cli import EXAMPLE, app
from tests.cli.conftest import Forgetless

GROUP: Any = typer.main.get_command(app)
COMMANDS = sorted(GROUP.commands)
# pydantic is not among them: typer itself loads it as soon as it reads arguments
HEAVY = {"torch", "transformers", "datasets", "peft", "numpy", "yaml", "pyarrow", "rich"}


def examples(text: str) -> list[list[str]]:
    """Command lines in an example, without the program's name and what is said beside them."""
    lines = text.replace("\\\n", " ").splitlines()
    commands = [line.strip().split("   ")[0] for line in lines if line.startswith("  forgetless ")]
    return [shlex.split(command)[1:] for command in commands]


def test_the_commands_are_the_documented_ones() -> None:
    expected = "audit compare demo diff init methods repair report run serve show"
    assert expected.split() == COMMANDS


def test_the_page_of_the_command_line_has_a_row_for_every_command() -> None:
    page = Path(__file__).parents[2] / "docs" / "terminal.md"
    rows = re.findall(r"^\| `forgetless (\w+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == COMMANDS


def test_every_command_but_serve_prints_json() -> None:
    silent = [
        name
        for name, command in GROUP.commands.items()
        if not any("--json" in parameter.opts for parameter in command.params)
    ]
    assert silent == ["serve"]


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_shows_every_parameter_and_its_example(
    forgetless: Forgetless, command: str, flag: str
) -> None:
    code, out, err = forgetless(command, flag)
    assert (code, err) == (0, "")
    words = " ".join(out.split())
    for parameter in GROUP.commands[command].params:
        assert parameter.help, f"{command}: {parameter.name} is not explained"
        assert " ".join(parameter.help.split()) in words
        assert parameter.name in out or any(option in out for option in parameter.opts)
    assert "Example" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_of_a_command_can_be_pasted(forgetless: Forgetless, command: str) -> None:
    text = import_module(f"forgetless.cli.{command}").EXAMPLE
    found = examples(text)
    assert found
    out = forgetless(command, "--help").out
    for name, *arguments in found:
        assert name == command
        GROUP.commands[command].make_context(command, list(arguments))
    for line in text.replace("\b", "").strip().splitlines():
        assert line.strip() in out, "the example was wrapped"


def test_the_examples_of_the_program_can_be_pasted() -> None:
    found = examples(EXAMPLE)
    assert [name for name, *_ in found] == ["demo", "audit", "init", "run", "compare", "show"]
    for name, *arguments in found:
        GROUP.commands[name].make_context(name, list(arguments))


def test_the_help_of_the_program_lists_every_command_with_a_whole_sentence(
    forgetless: Forgetless,
) -> None:
    code, out, _ = forgetless("--help")
    assert code == 0
    for command in COMMANDS:
        (line,) = [line for line in out.splitlines() if line.startswith(f"  {command} ")]
        assert line.endswith(".")
        assert not line.endswith("...")


def test_without_arguments_the_help_is_shown_as_an_error(forgetless: Forgetless) -> None:
    code, out, err = forgetless()
    assert (code, out) == (2, "")
    assert err == forgetless("--help").out


def test_versions_are_those_of_the_package_and_of_what_decides_results(
    forgetless: Forgetless,
) -> None:
    from forgetless import __version__

    code, out, err = forgetless("--version")
    first, second = out.splitlines()
    assert (code, first, err) == (0, f"forgetless {__version__}", "")
    assert f"torch {version('torch')}," in second


def test_the_package_can_be_run_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "forgetless", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("forgetless ")


def test_ctrl_c_while_libraries_are_imported_ends_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    done = subprocess.run(
        [sys.executable, "-m", "forgetless", "--help"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: stopped\n")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], [], ["--version"], ["rnu"], *([command, "--help"] for command in COMMANDS)],
    ids=" ".join,
)
def test_help_loads_no_heavy_library(
    arguments: list[str], record_property: Callable[[str, object], None]
) -> None:
    code = (
        "import sys\nfrom forgetless.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # for whoever looks at the report; a busy machine must not fail a test
    record_property("cpu_seconds", after.ru_utime - before.ru_utime)
    loaded = set(done.stderr.splitlines()[-1].split())
    assert "typer" in loaded
    assert not loaded & HEAVY
