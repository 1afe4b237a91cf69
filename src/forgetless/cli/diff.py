"""``forgetless diff``: what differs between two runs, and what that did to the scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from forgetless.report.difference import Differing, RunDifference, ScoredPair
    from forgetless.report.terminal import Write

EXAMPLE = """\b
Example:
  forgetless diff runs/plain runs/protected
"""

HEAD = ("task", "first", "second", "change", "limits", "lost/gained", "p")
LEGEND = (
    "change: second less first, over the items that both were asked; lost: right in the first and "
    "wrong in the second; p: how often chance alone splits lost and gained as unevenly"
)


def diff(
    first: Annotated[Path, typer.Argument(help="Folder of a run.")],
    second: Annotated[Path, typer.Argument(help="Folder of the run to compare with it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say in what two runs differ: settings, versions, data, and scores item by item.

    Nothing is written and no model is loaded.
    """
    from forgetless.cli.terminal import open_console
    from forgetless.report import read_run
    from forgetless.report.difference import difference
    from forgetless.report.plain_data import as_plain

    found = difference(read_run(first), read_run(second))
    if as_json:
        typer.echo(json.dumps(as_plain(found), indent=1, allow_nan=False))
    else:
        _show(found, open_console())


def _show(found: RunDifference, console: Console) -> None:
    from forgetless.report.terminal import plain_table, writer

    text = writer(console.options)
    console.print(text(f"first:  {found.first}, {found.rows[0]}", "bold"), soft_wrap=True)
    console.print(text(f"second: {found.second}, {found.rows[1]}", "bold"), soft_wrap=True)
    if found.same_until is not None:
        console.print(text(f"the same weights up to {found.same_until}", "dim"))
    parts: tuple[tuple[str, Sequence[Differing]], ...] = (
        ("settings", found.settings),
        ("model, machine and versions", found.versions),
        ("data", found.data),
    )
    for title, rows in parts:
        console.print()
        if not rows:
            console.print(text(f"{title}: no difference"))
            continue
        console.print(text(title, "bold"))
        cells = [[row.what, _value(row.first), _value(row.second)] for row in rows]
        console.print(plain_table(("", "first", "second"), cells, text, left=3))
    console.print()
    if not found.tasks:
        console.print(text("scores: the runs have no task in common"))
        return
    console.print(text("scores", "bold"))
    console.print(plain_table(HEAD, [_cells(pair) for pair in found.tasks], text))
    console.print(text(f"{LEGEND}; {found.level:.0%} limits", "dim"))
    _show_reasons(found, console, text)


def _show_reasons(found: RunDifference, console: Console, text: Write) -> None:
    for pair in found.tasks:
        if pair.reason is not None:
            console.print(text(f"{pair.task}: {pair.reason}", "dim"))


def _cells(pair: ScoredPair) -> list[str]:
    from forgetless.report.wording import ABSENT, interval, number

    limits = pair.change.interval
    return [
        pair.task if pair.unit == "accuracy" else f"{pair.task} (nats)",
        ABSENT if pair.first is None else number(pair.first),
        ABSENT if pair.second is None else number(pair.second),
        ABSENT if pair.change.value is None else number(pair.change.value, signed=True),
        ABSENT if limits is None else interval(limits.low, limits.high, signed=True),
        ABSENT if pair.lost is None else f"{pair.lost}/{pair.gained}",
        ABSENT if pair.p_value is None else f"{pair.p_value:.2g}",
    ]


def _value(value: Any) -> str:
    from forgetless.report.wording import ABSENT

    return ABSENT if value is None else value if isinstance(value, str) else json.dumps(value)
