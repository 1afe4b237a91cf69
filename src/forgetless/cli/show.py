"""``forgetless show``: what a folder of results is, what it says, and how to go on."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forgetless.errors import RunFolderError

if TYPE_CHECKING:
    from rich.console import Console

    from forgetless.report.standing import RunStanding

EXAMPLE = """\b
Examples:
  forgetless show runs/plan           a run, finished or not
  forgetless show audits/tuned        an audit, a comparison or a repair
"""

AGAIN = "run the same  forgetless compare  command again"


def show(
    folder: Annotated[
        Path, typer.Argument(help="Folder of a run, an audit, a comparison or a repair.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a folder holds: its state, its scores, and what to type to go on.

    Nothing is written and no model is loaded.
    """
    kinds = {
        "manifest.json": _run,
        "audit.json": _audit,
        "compare.json": _comparison,
        "repair.json": _repair,
        "runs/*/measured.json": _unfinished_comparison,
    }
    for mark, shown in kinds.items():
        if any(folder.glob(mark)):
            shown(folder, as_json)
            return
    if not folder.is_dir():
        raise RunFolderError(f"{folder}: no such folder", fix="check the path")
    inside = sorted(file.parent for file in folder.glob("*/manifest.json"))
    raise RunFolderError(
        f"{folder}: holds no run, audit, comparison or repair",
        fix=_command("show", inside[0]) if inside else "name the folder that one wrote",
    )


def _run(folder: Path, as_json: bool) -> None:
    from forgetless.report import TerminalReport, analyse, reach_verdict, read_run, report_document
    from forgetless.report.plain_data import as_plain
    from forgetless.report.standing import read_standing

    standing = read_standing(folder)
    report = analyse([read_run(folder)]) if standing.scored else None
    if as_json:
        told = report and report_document(report, reach_verdict(report))
        _print_json("run", {**as_plain(standing), "report": told})
        return
    console = _console()
    _show_standing(standing, console)
    if report is not None:
        console.print()
        console.print(TerminalReport(report))
    if standing.command is not None:
        when = "to go on once that process has ended" if standing.holder else "to go on"
        console.print(f"\n{when}: {standing.command}", markup=False, soft_wrap=True)


def _show_standing(standing: RunStanding, console: Console) -> None:
    from forgetless.report.terminal import plain_table, writer

    text = writer(console.options)
    state: str = standing.state
    if state == "running":
        state = "running" if standing.holder else "unfinished, no process works on it"
    told = text(f"{standing.folder}: a run of {standing.label}, {state}", "bold")
    console.print(told, soft_wrap=True)
    ends = f", ended {standing.finished}" if standing.finished else ""
    console.print(text(f"model {standing.model}, begun {standing.created}{ends}", "dim"))
    if standing.holder:
        console.print(text(f"in use by {standing.holder}", "dim"))
    console.print()
    rows = []
    for stage in standing.stages:
        at = "" if stage.checkpoint is None else f", checkpoint at step {stage.checkpoint}"
        progress = {"trained": "trained, not scored", "begun": f"training begun{at}"}
        rows.append([stage.name, progress.get(stage.progress, stage.progress)])
    console.print(plain_table(("stage", "state"), rows, text, left=2))


def _audit(folder: Path, as_json: bool) -> None:
    from forgetless.report.audit import TerminalAudit
    from forgetless.report.audit.document import audit_document, read_audit

    found = read_audit(folder)
    if as_json:
        _print_json("audit", {"folder": str(folder), **audit_document(found)})
        return
    _console().print(TerminalAudit(found))


def _comparison(folder: Path, as_json: bool) -> None:
    from forgetless.report.comparison import (
        TerminalComparison,
        read_comparison,
        render_comparison_json,
    )

    found = read_comparison(folder)
    if as_json:
        document = json.loads(render_comparison_json(found))
        _print_json("comparison", {"folder": str(folder), "state": "finished", **document})
        return
    console = _console()
    console.print(TerminalComparison(found))
    if (plan := folder / "recommended.yaml").is_file():
        # earlier versions wrote plain training's plan where nothing is recommended
        model = "the model" if found.recommended else "plain training's model"
        told = f"\nto have {model}: {_command('run', plan)}"
        console.print(told, markup=False, soft_wrap=True)


def _unfinished_comparison(folder: Path, as_json: bool) -> None:
    from forgetless.report.wording import count

    folders = [run for run in (folder / "runs").iterdir() if run.is_dir()]
    runs = {run.name: (run / "measured.json").is_file() for run in folders}
    finished = sorted(name for name, done in runs.items() if done)
    begun = sorted(name for name, done in runs.items() if not done)
    if as_json:
        about = {"folder": str(folder), "state": "unfinished", "finished": finished}
        _print_json("comparison", about | {"begun": begun, "command": None})
        return
    console = _console()
    done = count(len(finished), "run")
    told = f"{folder}: a comparison, unfinished: {done} done, {len(begun)} begun"
    console.print(told, markup=False, style="bold", soft_wrap=True)
    console.print(f"to go on: {AGAIN}", markup=False)


def _repair(folder: Path, as_json: bool) -> None:
    from forgetless.report.repair import TerminalRepair, read_repair, render_repair_json

    found = read_repair(folder)
    if as_json:
        _print_json("repair", {"folder": str(folder), **json.loads(render_repair_json(found))})
        return
    console = _console()
    console.print(TerminalRepair(found))
    if found.model:
        console.print(f"model: {found.model}", markup=False, soft_wrap=True)


def _command(name: str, path: Path) -> str:
    return shlex.join(["forgetless", name, str(path)])


def _console() -> Console:
    from forgetless.cli.terminal import open_console

    return open_console()


def _print_json(kind: str, document: dict[str, Any]) -> None:
    typer.echo(json.dumps({"kind": kind, **document}, indent=1, allow_nan=False))
