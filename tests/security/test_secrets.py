"""Secrets of the environment stand in nothing that is written or shown."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from forgetless.cli.terminal import TerminalProgress
from forgetless.showing import redact
from tests.bad_inputs.conftest import Forgetless

pytestmark = pytest.mark.system

PLANTED = {
    "OPENAI_API_KEY": "sk-planted0planted1planted2",
    "HF_TOKEN": "hf_planted3planted4planted5",
    "WANDB_API_KEY": "planted6planted7planted8",
}


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)


def test_no_file_and_no_output_of_a_run_a_report_and_an_audit_holds_a_secret(
    folder: Path, forgetless: Forgetless, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    steps = ("--set", "training.steps=1", "--set", "output=run")
    said = [
        forgetless("run", "plan.yaml", *steps),
        forgetless("report", "run", "--to", "both"),
        forgetless("audit", "model", "adapter", "--task", "a.jsonl", "-o", "audit"),
    ]
    assert [ended.code for ended in said] == [0, 0, 4]
    written = [path for path in folder.parent.rglob("*") if path.is_file()]
    assert len(written) > 25
    names = {path.name for path in written}
    assert {"manifest.json", "plan.yaml", "report.html", "audit.json", "answers.sqlite"} <= names
    texts = [path.read_bytes() for path in written]
    texts += [text.encode() for ended in said for text in (ended.out, ended.err)]
    texts.append(caplog.text.encode())
    for value in PLANTED.values():
        assert not any(value.encode() in text for text in texts)


@pytest.mark.parametrize("name", PLANTED)
def test_an_error_shows_the_name_of_a_secret_in_its_place(
    folder: Path, forgetless: Forgetless, name: str
) -> None:
    ended = forgetless("run", f"{PLANTED[name]}.yaml")
    assert PLANTED[name] not in ended.err
    assert ended.err.startswith(f"error: [{name}].yaml: no such plan file\n")


@pytest.mark.parametrize("model", ["openai:x@http://127.0.0.1:1/v1", "no/such"])
def test_what_cannot_be_reached_is_told_without_the_key(
    folder: Path, forgetless: Forgetless, model: str
) -> None:
    ended = forgetless("audit", "model", model, "--task", "a.jsonl", "-q")
    assert ended.code != 0
    assert not any(value in ended.out + ended.err for value in PLANTED.values())


def test_what_progress_tells_holds_no_secret_and_drives_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from rich.console import Console

    with TerminalProgress(Console(width=200)) as progress:
        progress.note(f"warning: \x1b[2J{PLANTED['HF_TOKEN']} \x1b]0;title\x07 \u202egnp.exe")
        progress.working(f"\x1b[31m{PLANTED['OPENAI_API_KEY']}")
    out = capsys.readouterr().out
    assert "warning: ␛[2J[HF_TOKEN] ␛]0;title␇ ⟨RLO⟩gnp.exe" in out
    assert "␛[31m[OPENAI_API_KEY]" in out
    assert "\x1b" not in out


def test_short_values_and_other_names_stay() -> None:
    named = {"API_KEY": "EMPTY", "KEYBOARD": "a-keyboard", "MY_TOKEN": "a-long-token"}
    assert redact("EMPTY a-keyboard a-long-token", named) == "EMPTY a-keyboard [MY_TOKEN]"


def test_a_secret_within_another_leaves_no_rest() -> None:
    named = {"A_KEY": "abcdefgh", "B_KEY": "abcdefghijkl"}
    assert redact("abcdefghijkl abcdefgh", named) == "[B_KEY] [A_KEY]"
