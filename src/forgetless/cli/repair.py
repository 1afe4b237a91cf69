"""``forgetless repair``: merge back what a fine-tune lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forgetless.cli.completion import task_sources
from forgetless.cli.fields import Fields, read_fields

if TYPE_CHECKING:
    from forgetless.plan import BudgetConfig

DEFAULT = "2%"

EXAMPLE = """\b
Example:
  forgetless repair BASE TUNED --task old.jsonl --task new.jsonl --budget 2% --budget old=5%
Ends with 0 repaired, or nothing lost; 3 no repair, no model is written; 4 too few items to certify;
2 wrong usage.
"""


def repair(
    base: Annotated[str, typer.Argument(help="The model before tuning: hub name, folder, .gguf.")],
    tuned: Annotated[str, typer.Argument(help="The model after, or its LoRA adapter.")],
    task: Annotated[
        list[str],
        typer.Option(
            "--task",
            metavar="TASK",
            help="Test items of an old or a new task: FILE, NAME=FILE, bundled:NAME; repeatable.",
            autocompletion=task_sources,
        ),
    ],
    fields: Fields = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SHARE",
            help="Largest loss accepted on each task, e.g. 5% or 0.05; on a single one: NAME=5%; "
            f"repeatable. {DEFAULT} if none is for all.",
        ),
    ] = None,
    relative: Annotated[
        bool, typer.Option("--relative", help="Budgets are shares of BASE's score, not points.")
    ] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="New folder for the model and repair.json.")
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
    from forgetless.cli.terminal import TerminalProgress, open_console
    from forgetless.layout import REPAIR
    from forgetless.repairing.repair import repair as carry_out
    from forgetless.report.repair import TerminalRepair, render_repair_json
    from forgetless.storage import check_folder, make_folder, write_text
    from forgetless.tasks.given import task_config

    accepted = _accepted(budget or [], relative=relative)
    columns = read_fields(fields)
    check_folder(output)
    console = open_console(stderr=as_json)
    with TerminalProgress(console, quiet=quiet) as progress:
        found = carry_out(
            base,
            tuned,
            [task_config(one, fields=columns) for one in task],
            budget=accepted,
            output=output,
            limit=limit,
            device=device,
            progress=progress,
        )
    make_folder(output)
    write_text(output / REPAIR, render_repair_json(found))
    if as_json:
        typer.echo((output / REPAIR).read_text(encoding="utf-8"))
    else:
        console.print(TerminalRepair(found))
        if found.model:
            console.print(f"model: {found.model}", markup=False, soft_wrap=True)
        console.print(f"report: {output / REPAIR}", markup=False, soft_wrap=True)
    raise typer.Exit(found.exit_code)


def _accepted(texts: list[str], *, relative: bool) -> BudgetConfig:
    """The budget of  2%  or  NAME=5%,  any number of them; 2% where none is for all tasks."""
    from pydantic import ValidationError

    from forgetless.errors import UsageError
    from forgetless.plan import BudgetConfig

    losses, tasks = [text for text in texts if "=" not in text], {}
    for text in texts:
        if "=" in text:
            name, _, loss = text.rpartition("=")
            tasks[name] = loss
    if len(losses) > 1:
        raise UsageError(
            f"--budget {losses[0]} and {losses[1]}: needed one for all tasks",
            fix="name the task of the other:  --budget NAME=5%",
        )
    try:
        return BudgetConfig.model_validate(
            {"loss": (losses or [DEFAULT])[0], "tasks": tasks, "relative": relative}
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(
            f"--budget {first['input']}: {first['msg'].removeprefix('Value error, ')}",
            fix="--budget 2%  or, for a single task,  --budget NAME=5%",
        ) from None
