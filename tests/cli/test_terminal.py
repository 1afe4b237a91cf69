"""Colours and bars on a terminal, plain lines elsewhere; the shell's completion."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from forgetless.cli.completion import (
    arm_names,
    method_names,
    score_names,
    suite_names,
    task_sources,
)
from forgetless.cli.terminal import PIPE_WIDTH, TerminalProgress, open_console
from forgetless.methods import METHODS
from tests.cli.conftest import Forgetless
from tests.report.fake_runs import write_arms

pytestmark = pytest.mark.system

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7][0-9;]*m")  # a foreground colour of ECMA-48
COMMAND = [sys.executable, "-m", "forgetless"]


def on_a_terminal(arguments: list[str], **environment: str) -> str:
    """What a command writes when a terminal of 100 columns is behind it."""
    ours, theirs = pty.openpty()
    plain = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "FORCE_COLOR", "CI"}}
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=theirs,
        stderr=subprocess.STDOUT,
        stdin=theirs,
        env=plain | {"TERM": "xterm-256color", "COLUMNS": "100"} | environment,
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert process.wait() == 0
    return written.decode()


def test_a_terminal_gets_colours_unless_no_color_is_set(tmp_path: Path) -> None:
    plain, *_ = write_arms(tmp_path)
    assert COLOUR.search(on_a_terminal(["show", str(plain)]))
    assert not COLOUR.search(on_a_terminal(["show", str(plain)], NO_COLOR="1"))


def test_a_pipe_gets_neither_colours_nor_other_controls(
    forgetless: Forgetless, tmp_path: Path
) -> None:
    plain, *_ = write_arms(tmp_path)
    for arguments in (["show", plain], ["methods"], ["report", plain]):
        assert "\x1b" not in forgetless(*arguments).out


def test_a_pipe_is_as_wide_as_a_row_unless_columns_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert open_console().width == PIPE_WIDTH
    monkeypatch.setenv("COLUMNS", "50")
    assert open_console().width == 50


def test_progress_without_a_terminal_is_lines_and_none_when_quiet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for quiet in (False, True):
        with TerminalProgress(open_console(), quiet=quiet) as progress:
            progress.stage("run", "1-law", 1, 2)
            for step in range(1, 4):
                progress.trained(step, 3, 0.5)
            progress.note("a note")
        out = capsys.readouterr().out
        assert "\x1b" not in out
        lines = ["a note"] if quiet else [
            "run · stage 1/2 · law · training · 1/3 · 0 s left · loss 0.500",
            "run · stage 1/2 · law · training · 3/3 · loss 0.500",
            "a note",
        ]  # fmt: skip
        shown = [re.sub(r" · \d+ s left", " · 0 s left", line) for line in out.splitlines()]
        assert [line.replace("1/3 · loss", "1/3 · 0 s left · loss") for line in shown] == lines


def test_a_terminal_that_cannot_move_its_cursor_gets_lines() -> None:
    shown = StringIO()
    console = Console(file=shown, force_terminal=True, _environ={"TERM": "dumb"})
    with TerminalProgress(console) as progress:
        progress.trained(1, 1, 0.5)
        assert shown.getvalue() == "training · 1/1 · loss 0.500\n"


def test_a_comparison_says_at_once_how_many_runs_there_are() -> None:
    shown = StringIO()
    with TerminalProgress(Console(file=shown)) as progress:
        progress.runs(0, 12)
        progress.runs(12, 12)
    assert shown.getvalue() == "runs of the comparison · 0/12\nruns of the comparison · 12/12\n"


# Completion


def test_every_method_completes_and_nothing_else() -> None:
    assert sorted(method_names("")) == sorted(METHODS)
    assert list(method_names("ew")) == ["ewc"]
    assert list(method_names("x")) == []


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("ew", ["ewc"]),
        ("replay, ew", ["replay, ewc"]),
        ("replay,ewc+l2", ["replay,ewc+l2sp"]),
        ("replay+x", []),
    ],
)
def test_the_last_method_of_a_list_of_arms_completes(typed: str, offered: list[str]) -> None:
    assert list(arm_names(typed)) == offered


def test_tasks_and_suites_complete_by_name() -> None:
    assert list(task_sources("b")) == ["bundled:"]
    assert "bundled:medical_facts" in list(task_sources("bundled:medical"))
    assert list(task_sources("exam.js")) == []
    assert list(suite_names("q")) == ["quick"]
    assert list(score_names("n")) == ["number", "nll"]


def test_the_shell_is_answered() -> None:
    asked = {"_FORGETLESS_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'forgetless'\n"
         "from forgetless.__main__ import main; main()"],
        env=os.environ | asked | {"COMP_WORDS": "forgetless methods l"},
        capture_output=True,
        text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["l2sp", "lora"]
