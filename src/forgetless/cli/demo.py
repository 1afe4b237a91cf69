"""``forgetless demo``: see a real model forget, and see it kept from forgetting."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from forgetless.plan import Plan

EXAMPLE = """\b
Example (about 5 minutes on two cores):
  forgetless demo --output runs/demo
"""


def demo(
    model: Annotated[
        str,
        typer.Option(help="Model: the packaged one, or a hub name, folder or .gguf file."),
    ] = "bundled:smollm2-135m-instruct",
    output: Annotated[Path, typer.Option(help="Folder for the two runs and the report.")] = Path(
        "runs/demo"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Teach a small model medicine, then law: once plainly, once protected by replay.

    Every task is scored before and after each stage; the report shows which answers were lost.
    """
    from forgetless.cli.results import show_answers, show_runs
    from forgetless.cli.terminal import TerminalProgress, open_console
    from forgetless.sequence import run_sequence

    console = open_console(stderr=as_json)
    plain, protected = plans(model, output)
    with TerminalProgress(console, quiet=quiet) as progress:
        runs = [run_sequence(plain, progress)]
        runs.append(run_sequence(protected, progress, share_with=[runs[0].path]))
    if not as_json:
        show_answers(runs, console)
    show_runs(runs, output, as_json=as_json)
    if not as_json:
        typer.echo("next, with your own data:  forgetless init medical.jsonl legal.csv")


def plans(model: str, output: Path) -> tuple[Plan, Plan]:
    """The same training, without methods and with those of the demo's plan."""
    from importlib.resources import files

    import yaml

    from forgetless.plan import make_plan

    text = (files("forgetless") / "demo.yaml").read_text(encoding="utf-8")
    settings = yaml.safe_load(text) | {"model": model}
    own = {"methods": [], "output": str(output / "plain")}  # none named would mean auto
    return (
        make_plan(settings | own, "demo"),
        make_plan(settings | {"output": str(output / "protected")}, "demo"),
    )
