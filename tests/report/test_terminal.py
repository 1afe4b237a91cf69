"""The terminal shows every arm's matrix, in plain text where that is all there is."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from forgetless.report import Report, TerminalReport, analyse, read_run
from forgetless.report.wording import number

from .hostile import write_hostile


def printed(report: Report, width: int, *, ascii_only: bool = False, colour: bool = False) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii" if ascii_only else "utf-8")
    console = Console(
        file=file, width=width, force_terminal=colour, color_system="truecolor" if colour else None
    )
    console.print(TerminalReport(report))
    file.seek(0)
    return file.read()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_every_score_of_every_arm_is_shown(report: Report, width: int) -> None:
    words = printed(report, width).replace("[", " ").replace("]", " ").split()
    for arm in report.arms:
        assert arm.title in words
        for value in arm.scores.values():
            assert number(value) in words


def test_no_line_is_longer_than_the_terminal(report: Report) -> None:
    for width in (60, 80, 120):
        assert max(len(line) for line in printed(report, width).splitlines()) <= width


def test_arms_stand_side_by_side_where_they_fit(report: Report) -> None:
    together = [line for line in printed(report, 200).splitlines() if "sequential" in line]
    assert any("replay" in line for line in together)
    heads = [line.split() for line in printed(report, 60).splitlines()]
    assert ["sequential"] in heads
    assert ["replay"] in heads


def test_without_colour_the_signs_carry_the_meaning(report: Report) -> None:
    text = printed(report, 80)
    assert "\x1b" not in text
    assert "[0.78]" in text
    assert "+0.78*" in text
    assert "+0.03 " in text


def test_with_colour_a_loss_is_red(report: Report) -> None:
    assert re.search(r"\x1b\[1;31m *\+0\.78\*", printed(report, 80, colour=True))


def test_a_console_without_unicode_gets_ascii(report: Report) -> None:
    text = printed(report, 80, ascii_only=True)
    assert "-2.90" in text
    assert text.isascii()


def test_the_verdict_comes_first_and_warnings_are_told(report: Report) -> None:
    text = printed(report, 80)
    assert text.startswith("Trained plainly, the model lost medical almost entirely")
    assert "could not be scored" in text


def test_texts_from_outside_cannot_drive_the_terminal(tmp_path: Path) -> None:
    report = analyse([read_run(folder) for folder in write_hostile(tmp_path)], draws=50)
    text = printed(report, 80)
    assert "\x1b" not in text
    assert "\x00" not in text
    assert "\u202e" not in text
