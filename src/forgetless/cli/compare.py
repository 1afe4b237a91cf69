"""``forgetless compare``: which protection to take."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forgetless.cli.completion import arm_names

if TYPE_CHECKING:
    from forgetless.comparing.compare import On
    from forgetless.comparing.result import Comparison

EXAMPLE = """\b
Examples:
  forgetless compare plan.yaml --methods "replay, ewc+replay, lora+replay+kl"
  forgetless compare plan.yaml --methods "replay(ratio=0.05)" --rates 1e-4,3e-4 --pilot
  forgetless compare plan.yaml --on ray
Killed? Run the same command again: it continues.
"""


def compare(
    plan: Annotated[Path, typer.Argument(help="Plan file (YAML); see forgetless init.")],
    methods: Annotated[
        str | None,
        typer.Option(
            help="Arms between commas, methods joined by '+', options in brackets.",
            autocompletion=arm_names,
        ),
    ] = None,
    rates: Annotated[
        str, typer.Option(help="Learning rates to try, e.g. 1e-4,3e-4; around the plan's if none.")
    ] = "",
    rates_alone: Annotated[
        bool, typer.Option("--rates-alone", help="Tune learning rates, no strengths.")
    ] = False,
    pilot: Annotated[
        bool, typer.Option("--pilot", help="A tenth of the training, rates alone.")
    ] = False,
    seeds: Annotated[
        int,
        typer.Option(min=1, help="Training seeds that are reported; several: others than chose."),
    ] = 1,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a key of the plan; repeatable."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time, without --on ray.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each run.")] = 1,
    on: Annotated[
        str,
        typer.Option(
            metavar="ray",
            help="Spread runs over a Ray cluster: that of $RAY_ADDRESS, else of this machine.",
        ),
    ] = "here",
    as_json: Annotated[bool, typer.Option("--json", help="Print compare.json.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Run a plan under several methods, each at its best, between plain and joint training.

    Writes compare.html, compare.md, compare.json, report.html; and recommended.yaml, the plan of
    the protection to take, if one is recommended.
    """
    from forgetless.cli.terminal import TerminalProgress, open_console
    from forgetless.comparing.compare import compare as carry_out
    from forgetless.comparing.compare import recommended_plan
    from forgetless.plan import load_plan
    from forgetless.report import write_report
    from forgetless.report.comparison import (
        TerminalComparison,
        render_comparison_json,
        render_comparison_markdown,
    )
    from forgetless.report.html.comparison import render_comparison_html
    from forgetless.storage import write_text

    loaded = load_plan(plan, settings or [])
    output = Path(loaded.output)
    console = open_console(stderr=as_json)
    with TerminalProgress(console, quiet=quiet) as progress:
        found = carry_out(
            loaded,
            methods,
            rates=_numbers(rates),
            rates_alone=rates_alone,
            pilot=pilot,
            seeds=seeds,
            jobs=jobs,
            threads=threads,
            on=_place(on),
            progress=progress,
        )
    write_text(output / "compare.json", render_comparison_json(found))
    write_text(output / "compare.md", render_comparison_markdown(found))
    write_text(output / "compare.html", render_comparison_html(found))
    recommended = output / "recommended.yaml"
    if found.recommended is None:
        recommended.unlink(missing_ok=True)  # of a comparison before
    else:
        write_text(recommended, recommended_plan(loaded, found).to_yaml())
    runs = [output / arm.run for arm in found.arms if arm.run]
    if runs:
        write_report(runs, output)
    if as_json:
        typer.echo((output / "compare.json").read_text(encoding="utf-8"))
    else:
        console.print(TerminalComparison(found))
        console.print(f"\nreport: {output / 'compare.html'}", markup=False, soft_wrap=True)
        console.print(next_command(found, sys.argv[1:], output), markup=False, soft_wrap=True)
    if not runs:
        raise typer.Exit(1)


def next_command(found: Comparison, typed: Sequence[str], output: Path) -> str:
    """What to type after a comparison.

    Args:
        found: What it came to.
        typed: How it was asked for, after ``forgetless``.
        output: Where it was written.
    """
    if found.recommended is None and found.pilot < 1:
        again = shlex.join(["forgetless", *(word for word in typed if word != "--pilot")])
        return f"to know more, without --pilot: {again}"
    if found.recommended is None:
        return "nothing is recommended, so there is no recommended.yaml"
    command = shlex.join(["forgetless", "run", str(output / "recommended.yaml")])
    return f"to have the model: {command}"


def _place(on: str) -> On:
    from forgetless.errors import UsageError

    if on not in ("here", "ray"):
        raise UsageError(f"--on {on}: needed ray, or nothing", fix="--on ray")
    return "ray" if on == "ray" else "here"


def _numbers(text: str) -> tuple[float, ...]:
    from forgetless.errors import UsageError

    try:
        found = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        found = (0.0,)
    if any(not 0 < rate < 1 for rate in found):
        raise UsageError(
            f"--rates {text}: needed numbers between 0 and 1, with commas",
            fix="--rates 1e-4,3e-4",
        )
    return found
