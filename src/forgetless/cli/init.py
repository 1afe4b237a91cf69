"""``forgetless init``: write a commented plan from data files."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from forgetless.cli.fields import Fields, read_fields

EXAMPLE = """\b
Example:
  forgetless init medical.jsonl legal.csv --test-only general.jsonl \\
    --model HuggingFaceTB/SmolLM2-135M-Instruct -o plan.yaml
"""


def init(
    data: Annotated[
        list[str],
        typer.Argument(
            help="Data of each task in training order: files, folders, bundled:NAME; or NAME=FILE."
        ),
    ],
    test_only: Annotated[
        list[str] | None,
        typer.Option("--test-only", help="Data of a task that is only tested; repeatable."),
    ] = None,
    model: Annotated[
        str, typer.Option(help="Hub name, folder, adapter folder or .gguf file.")
    ] = "bundled:smollm2-135m-instruct",
    fields: Fields = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Plan file to write; never overwritten.")
    ] = Path("plan.yaml"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the path and the resolved plan as JSON.")
    ] = False,
) -> None:
    """Look at data files and write a plan for them, every line explained."""
    from forgetless.errors import UsageError
    from forgetless.plan_writer import write_plan
    from forgetless.storage import write_text

    if output.exists():
        raise UsageError(f"{output}: is there already", fix="name another file with  -o")
    _refuse_bytes(model, *data, *(test_only or ()))
    text, warnings = write_plan(model, data, test_only or [], output.parent, read_fields(fields))
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_text(output, text)
    except OSError as error:
        raise UsageError(
            f"{output}: cannot be written: {error.strerror}", fix="name another file with  -o"
        ) from None
    if as_json:
        import json

        from forgetless.plan import load_plan

        plan = load_plan(output).resolved()
        found = {"path": str(output), "plan": plan, "warnings": warnings}
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for warning in warnings:
        typer.echo(f"warning: {warning}")
    check = shlex.join(["forgetless", "run", str(output), "--dry-run"])
    typer.echo(f"wrote {output}\ncheck it:  {check}")


def _refuse_bytes(*names: str) -> None:
    """Refuse what can be typed in a shell, but not be written in a plan.

    Raises:
        UsageError: naming the first.
    """
    from forgetless.errors import UsageError

    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"{name!r}: a name that is not UTF-8, which a plan is", fix="rename it"
            ) from None
