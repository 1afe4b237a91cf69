"""The terminal says the outcome first, in 80 columns, and never by colour alone."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from forgetless.auditing.result import EXIT_CODES, Audit, GateStatus
from forgetless.report.audit import TerminalAudit, gate_line
from forgetless.report.wording import number

from .fake_audits import all_kept, audit, hostile


def printed(found: Audit, width: int = 80, *, encoding: str = "utf-8", colour: bool = False) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(
        file=file, width=width, force_terminal=colour, color_system="truecolor" if colour else None
    )
    console.print(TerminalAudit(found))
    file.seek(0)
    return file.read()


@pytest.mark.parametrize("gate", list(EXIT_CODES))
def test_the_first_line_is_the_gate_with_its_exit_code(gate: GateStatus) -> None:
    first = printed(audit(gate, later=False), 200).splitlines()[0].rstrip()
    assert first == gate_line(audit(gate, later=False))
    assert f"(exit code {EXIT_CODES[gate]}): " in first


@pytest.mark.parametrize(
    ("gate", "colour"), [("kept", "32"), ("broken", "31"), ("inconclusive", "33"), ("failed", "31")]
)
def test_the_gate_has_its_colour(gate: GateStatus, colour: str) -> None:
    assert printed(audit(gate), colour=True).startswith(f"\x1b[1;{colour}m")


@pytest.mark.parametrize("width", [80, 100, 200])
def test_every_task_has_a_line_with_figures_and_verdict(width: int) -> None:
    text = printed(audit(later=False), width)
    (line,) = [line for line in text.splitlines() if line.startswith("facts")]
    assert line.split() == [
        "facts",
        "0.90",
        "0.30",
        "−0.60",
        "−0.64",
        "to",
        "−0.56",
        "24/0",
        "lost",
        "(knowledge)",
    ]
    for verdict in audit().comparisons[0].verdicts:
        assert verdict.verdict in text
        if verdict.change.value is not None:
            assert number(verdict.change.value, signed=True) in text


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_is_longer_than_the_terminal(width: int) -> None:
    for found in (audit(), hostile()):
        assert max(len(line) for line in printed(found, width).splitlines()) <= width


def test_colour_adds_nothing_but_colour() -> None:
    assert re.sub(r"\x1b\[[0-9;]*m", "", printed(audit(), colour=True)) == printed(audit())


def test_why_a_task_was_not_kept_is_told() -> None:
    text = " ".join(printed(audit(later=False)).split())
    assert "- languages: 31 of 40 items have no answer; at most 5% may be missing." in text
    assert "About 1,450 items would decide." in text
    assert "- arithmetic:" not in text


def test_what_to_know_first_and_what_it_took_are_told() -> None:
    text = " ".join(printed(audit()).split())
    assert "- later: choices were asked by generation" in text
    assert "40 items without an answer from tuned (the server answered 500 four times)" in text
    assert "960 items asked, 0 answered from the store, 4 min 3 s" in text


def test_every_model_has_its_table() -> None:
    text = printed(audit())
    assert "base → tuned" in text
    assert "base → later" in text


def test_several_models_stand_beside_one_another_on_every_task() -> None:
    text = printed(audit())
    matrix = text[: text.index("base → tuned")]
    assert re.search(r"task +base +tuned +later", matrix)
    assert re.search(r"facts +0\.90 +0\.30 +0\.90 *\n +lost *\n", matrix)
    assert not re.search(r"task +base", printed(audit(later=False)))


def test_drift_is_told_where_it_was_measured() -> None:
    text = " ".join(printed(audit()).split())
    assert text.count("predictions moved by, KL in nats per token: prose 0.0417") == 1


def test_a_console_without_unicode_gets_ascii() -> None:
    for found in (audit(), all_kept(), hostile()):
        assert printed(found, encoding="ascii").isascii()
    assert "base > tuned" in printed(audit(), encoding="ascii")


def test_texts_from_outside_cannot_drive_the_terminal() -> None:
    text = printed(hostile())
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", text)
