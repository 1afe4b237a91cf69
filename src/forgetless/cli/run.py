"""``forgetless run``: carry a plan out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BUDGET_NOT_KEPT = 3

EXAMPLE = """\b
Example:
  forgetless run plan.yaml --set training.learning_rate=5e-5
Killed? Run the same command again: it continues.
Ends with 0 done, 3 a budget of the plan not kept, 1 failed, 2 wrong usage.
"""


def run(
    plan: Annotated[Path, typer.Argument(help="Plan file (YAML); see forgetless init.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a key of the plan; repeatable."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Check everything, count rows and tokens, estimate; load no model."
        ),
    ] = False,
    share_with: Annotated[
        list[Path] | None,
        typer.Option(
            "--share-with",
            metavar="RUN",
            help="Take stages that would come out the same from this run; repeatable.",
        ),
    ] = None,
    push_to_hub: Annotated[
        str | None,
        typer.Option(
            metavar="REPO",
            help="Put the last stage's model and its card there when the run is done; a new "
            "repository is private.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Train a model on the tasks of a plan in turn, and score every task after every stage."""
    from forgetless.plan import load_plan

    loaded = load_plan(plan, settings or [])
    if dry_run:
        from forgetless.cli.dry_run import show_estimate

        show_estimate(loaded, as_json=as_json)
        return
    from forgetless.cli.results import show_runs
    from forgetless.cli.terminal import TerminalProgress, open_console
    from forgetless.processes import first
    from forgetless.report.budget import shortfall
    from forgetless.sequence import run_sequence

    if push_to_hub is not None:
        from forgetless.models.publish import check_repository

        check_repository(push_to_hub)
    console = open_console(stderr=as_json)
    with TerminalProgress(console, quiet=quiet or not first()) as progress:
        result = run_sequence(loaded, progress, share_with or [])
    if not first():
        return
    (arm,) = show_runs([result], result.path, as_json=as_json).arms
    missed = "" if arm.budget is None else shortfall(arm.budget)
    if push_to_hub is not None and not missed:
        from forgetless.models.publish import push_to_hub as push

        address = push(result.model_path(), push_to_hub)
        console.print(f"on the hub: {address}", markup=False, soft_wrap=True)
    if missed:
        console.print(f"exit code {BUDGET_NOT_KEPT}: {missed}", markup=False, soft_wrap=True)
        if push_to_hub is not None:
            console.print("not put on the hub: the budget was not kept")
        raise typer.Exit(BUDGET_NOT_KEPT)
