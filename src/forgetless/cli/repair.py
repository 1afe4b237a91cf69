"""``forgetless repair``: merge back what a fine-tune lost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = """\b
Example:
  forgetless repair BASE TUNED --task old.jsonl --task new.jsonl --budget 2%
Ends with 0 repaired or nothing lost, 3 no point within budget, 4 not certified, 2 wrong usage.
"""


def repair(
    base: Annotated[str, typer.Argument(help="The model before tuning: hub name, folder, .gguf.")],
    tuned: Annotated[str, typer.Argument(help="The model after, or its LoRA adapter.")],
    task: Annotated[
        list[str],
        typer.Option(
            "--task",
            metavar="TASK",
            help="Test items of an old or a new task: FILE, NAME=FILE, builtin:NAME; repeatable.",
        ),
    ],
    budget: Annotated[
        str, typer.Option(help="Largest loss accepted on each task, e.g. 2% or 0.02.")
    ] = "2%",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the model and repair.json.")
    ] = Path("repaired"),
    limit: Annotated[
        int | None, typer.Option(min=1, help="Ask only the first so many items of each task.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print repair.json.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Find the point between two models that keeps most of the new within a budget of loss.

    Nothing is trained. Half of the items search, the other half certify.
    """
    from rich.console import Console

    from forgetless.auditing.config import make_config, task_config
    from forgetless.cli.terminal import TerminalProgress
    from forgetless.repairing.repair import repair as carry_out
    from forgetless.report.repair import TerminalRepair, render_repair_json
    from forgetless.storage import check_folder, make_folder, write_text

    share = make_config({"budget": budget, "device": device}, "repair").budget
    check_folder(output)
    console = Console(stderr=as_json, highlight=False)
    with TerminalProgress(console, quiet=quiet) as progress:
        found = carry_out(
            base,
            tuned,
            [task_config(one) for one in task],
            budget=share,
            output=output,
            limit=limit,
            device=device,
            progress=progress,
        )
    make_folder(output)
    write_text(output / "repair.json", render_repair_json(found))
    if as_json:
        typer.echo((output / "repair.json").read_text(encoding="utf-8"))
    else:
        console.print(TerminalRepair(found))
        if found.model:
            console.print(f"model: {found.model}", markup=False, soft_wrap=True)
    raise typer.Exit(found.exit_code)
