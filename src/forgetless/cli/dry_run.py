"""``forgetless run --dry-run``: what a plan will take."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from forgetless.showing import shown

if TYPE_CHECKING:
    from rich.console import Console

    from forgetless.hosted.estimate import HostedEstimate, TaskCount
    from forgetless.plan import Plan


def show_estimate(plan: Plan, *, as_json: bool) -> None:
    """Print rows, tokens, steps, time and memory of a plan, or raise what is wrong with it."""
    if plan.hosted is not None:
        _show_hosted(plan, as_json=as_json)
        return
    import typer
    from rich.table import Table

    from forgetless.cli.terminal import open_console
    from forgetless.estimate import estimate

    found = estimate(plan)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
        return
    console = open_console()
    tasks = Table("task", "train rows", "test items", "scored by", "rendered as", title="Tasks")
    for task in found.tasks:
        tasks.add_row(
            task.name, f"{task.train_rows:,}", f"{task.test_items:,}", task.score, task.rendering
        )
    more = any(stage.written_tokens or stage.asked_tokens for stage in found.stages)
    others = sum(stage.other_seconds for stage in found.stages)
    besides = ("written", "asked") if more else ()
    stages = Table(
        *("stage", "rows", "tokens", "of earlier tasks", "steps", *besides, "about"), title="Stages"
    )
    for stage in found.stages:
        share = stage.replayed_tokens / stage.tokens
        stages.add_row(
            stage.name,
            f"{stage.rows:,}",
            f"{stage.tokens:,}",
            f"{share:.1%}",
            f"{stage.steps:,}",
            *((f"{stage.written_tokens:,}", f"{stage.asked_tokens:,}") if more else ()),
            _duration(stage.seconds + stage.other_seconds),
        )
    console.print(tasks, stages)
    if more:
        console.print(
            "written: tokens that the model writes to rehearse them; asked: tokens of guard items, "
            "where no stage has to go back; both at most, if no row that it writes is left out. "
            "Rows that it writes are not among the rows and steps.",
            markup=False,
        )
    console.print(
        f"method {found.method} · {found.parameters:,} parameters, {found.trainable:,} trained · "
        f"{found.device} · about {found.memory_gb:.1f} GB for weights and optimiser, activations "
        f"on top · about {_duration(sum(stage.seconds for stage in found.stages))} of training"
        + (f" and {_duration(others)} of writing and asking" if more else ""),
        markup=False,
    )
    _end(console, found.warnings)


def _show_hosted(plan: Plan, *, as_json: bool) -> None:
    """The same of a plan whose model a provider fine-tunes."""
    import typer
    from rich.table import Table

    from forgetless.cli.terminal import open_console
    from forgetless.hosted.estimate import estimate_hosted

    found = estimate_hosted(plan)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
        return
    console = open_console()
    tasks = Table("task", "train rows", "test items", "scored by", "asking once reads", "writes")
    tasks.title = "Tasks"
    for task in found.tasks:
        rows = task.name, f"{task.train_rows:,}", f"{task.test_items:,}", task.score
        tasks.add_row(*rows, *_most_tokens(task))
    if found.ask.test_items:
        tasks.add_row("(ask)", "", f"{found.ask.test_items:,}", "", *_most_tokens(found.ask))
    jobs = Table("job", "rows", "MB", f"tokens, {found.epochs} epochs", "of earlier tasks", "price")
    jobs.title = "Jobs"
    for stage in found.stages:
        jobs.add_row(
            stage.name,
            f"{stage.rows:,}",
            f"{stage.megabytes:.3f}",
            f"{stage.tokens:,}",
            f"{stage.replayed_tokens / stage.tokens:.1%}",
            "" if stage.price is None else f"{stage.price:,.2f}",
        )
    console.print(tasks, jobs)
    counted = "counted with hosted.tokenizer" if found.exact else "estimated, four bytes each"
    console.print(
        f"method {found.method} · {found.model} · tokens {counted} · everything is asked "
        f"{found.scored} times",
        markup=False,
        soft_wrap=True,
    )
    console.print(_price(found), markup=False)
    _end(console, found.warnings)


def _most_tokens(task: TaskCount) -> tuple[str, str]:
    return f"up to {task.input_tokens:,}", f"up to {task.output_tokens:,}"


def _price(found: HostedEstimate) -> str:
    if found.training_price is None or found.scoring_price is None:
        return "price: unknown without the provider's price list: set  hosted.prices"
    return (
        f"price by hosted.prices: training about {found.training_price:,.2f}, scoring up to "
        f"{found.scoring_price:,.2f}; reasoning, of a model that reasons, comes on top"
    )


def _end(console: Console, warnings: Sequence[str]) -> None:
    for warning in warnings:
        console.print(shown(f"warning: {warning}"), markup=False)
    console.print("nothing was trained and nothing was written", markup=False)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
