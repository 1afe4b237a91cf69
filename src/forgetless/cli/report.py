"""``forgetless report``: one report of one or several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = """\b
Example:
  forgetless report runs/plain runs/protected --to runs/both
"""


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, shown side by side.")],
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder for the report; the first run's if none.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Write report.html, report.md and report.json, and print the score matrix.

    A run labelled joint is the upper bound that intransigence is measured against.
    """
    from forgetless.cli.results import show_runs
    from forgetless.result import RunResult

    show_runs([RunResult(run) for run in runs], to or runs[0], as_json=as_json)
