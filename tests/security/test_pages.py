"""In a browser no page runs what a model, a plan or a data file says; Markdown shows it as text."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from forgetless.comparing.result import Comparison
from forgetless.repairing.result import PointScored, RepairResult
from forgetless.report import write_report
from forgetless.report.audit import write_audit_report
from forgetless.report.comparison import TerminalComparison, render_comparison_markdown
from forgetless.report.html.comparison import render_comparison_html
from forgetless.report.repair import TerminalRepair
from tests.report.audit.fake_audits import hostile
from tests.report.browser import OPEN_ALL, ask
from tests.report.hostile import TEXT, write_hostile
from tests.report.test_comparison import arm

LOOK = (  # besides its own script, a page links to the report beside it at most
    OPEN_ALL
    + r"""
  await rest(500);
  const own = [...page.querySelectorAll("script")].map((node) => node.textContent.length);
  return {
    title: page.title, own: own.length,
    from: [...page.querySelectorAll("img, iframe, object, embed, link, base, form[action]")].length,
    handlers: [...page.querySelectorAll("*")].filter((node) =>
      [...node.attributes].some((one) => one.name.startsWith("on"))).length,
    links: [...page.querySelectorAll("a")].filter((node) =>
      !/^(#|https:|report[.]html$)/.test(node.getAttribute("href") || "#")).length,
  };
"""
)


def comparison() -> Comparison:
    """A comparison whose every text tries to become markup, a script or a command."""
    attacked = replace(arm(f"replay {TEXT}", 0.9, 0.2, 0.6), failed=None)
    failed = replace(arm(f"ewc {TEXT}", None, None, 0.4), failed=TEXT)
    return Comparison(
        model=TEXT,
        tasks=(TEXT, f"tax {TEXT}"),
        arms=(arm("sequential", 0.9, 0.8, 0.3), arm("joint", None, None, 0.9), attacked, failed),
        recommended=attacked.name,
        reasons=(TEXT,),
        items={TEXT: 20},
        level=0.95,
        pilot=1.0,
        seeds=(1, 2),
        created=TEXT,
    )


@pytest.mark.browser
@pytest.mark.parametrize("which", ["run", "audit", "comparison"])
def test_no_page_runs_what_it_shows(tmp_path: Path, which: str) -> None:
    if which == "run":
        page = write_report(write_hostile(tmp_path), tmp_path / "out").html
    elif which == "audit":
        page = write_audit_report(hostile(), tmp_path / "out").html
    else:
        page = tmp_path / "compare.html"
        page.write_text(render_comparison_html(comparison()), encoding="utf-8")
    assert "&lt;script&gt;" in page.read_text(encoding="utf-8")
    found = ask(page, LOOK, tmp_path)
    assert found["title"] != "pwned"
    assert (found["own"], found["from"]) == (1, 0)
    assert (found["handlers"], found["links"]) == (0, 0)


def test_markdown_of_a_comparison_shows_markup_as_text() -> None:
    text = render_comparison_markdown(comparison())
    assert not re.search(r"(?<!\\)<(script|img|/)", text)
    assert "\x1b" not in text


def test_a_comparison_and_a_repair_cannot_drive_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from rich.console import Console

    repair = RepairResult(
        "no point", TEXT, None, (TEXT,), (TEXT,), {}, (),
        (PointScored(TEXT, 0.5, 0.0, {TEXT: 0.5}),), 3, {TEXT: 20},
    )  # fmt: skip
    console = Console(width=200)
    console.print(TerminalComparison(comparison()))
    console.print(TerminalRepair(repair))
    out = capsys.readouterr().out
    assert "␛[31m" in out
    assert "\x1b" not in out
    assert "\u202e" not in out
