"""What the terminal shows of finished runs: answers, score matrices, where the report is."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from forgetless.layout import PLAN
from forgetless.plan.spelling import setting

if TYPE_CHECKING:
    from rich.console import Console

    from forgetless.report import Report
    from forgetless.result import RunResult


def show_runs(runs: Sequence[RunResult], to: Path, *, as_json: bool = False) -> Report:
    """Write the report of some runs, print it and return it.

    Args:
        runs: Shown side by side.
        to: Folder of the report.
        as_json: Print report.json instead of tables.
    """
    from forgetless.cli.terminal import open_console
    from forgetless.report import TerminalReport

    first, *others = runs
    files = first.report(*others, to=to)
    if as_json:
        typer.echo(files.json.read_text(encoding="utf-8"))
        return files.report
    console = open_console()
    console.print(TerminalReport(files.report, files.verdict))
    console.print(f"report: {files.html}", markup=False, soft_wrap=True)
    (arm, *others_beside) = files.report.arms
    if not others_beside and not arm.run.is_joint:
        console.print(beside(first.path, arm.run.is_sequential), markup=False, soft_wrap=True)
    return files.report


def beside(folder: Path, sequential: bool) -> str:
    """The command for a run that shows what protection does, beside one that stands alone."""
    name = "protected" if sequential else "plain"
    changes = ["methods=auto"] if sequential else ["methods=[]", "budget=null"]
    place = folder.resolve()  # the plan's own folder is another
    changes.append(setting("output", str(place.with_name(f"{place.name}-{name}"))))
    words = ["forgetless", "run", str(folder / PLAN)]
    words += [word for change in changes for word in ("--set", change)]
    told = shlex.join([*words, "--share-with", str(folder)])
    return f"to see what protection does: {told}"


def show_answers(runs: Sequence[RunResult], console: Console) -> None:
    """Print what the untouched model and the model at the end of each run say to open questions."""
    from rich.padding import Padding
    from rich.text import Text

    first = runs[0].results
    for number, asked in enumerate(first.answers[0]):
        console.print(Text(f"\n{asked.question}", style="bold"))
        said = [("untouched", asked.answer)]
        said += [(run.results.name, run.results.answers[-1][number].answer) for run in runs]
        for who, answer in said:
            console.print(Padding(Text(f"{who}: {_one_line(answer)}"), (0, 0, 0, 2)))
    console.print()


def _one_line(answer: str, longest: int = 240) -> str:
    """An answer on one line, printable, cut where it gets long."""
    text = " ".join("".join(c if c.isprintable() else " " for c in answer).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"
