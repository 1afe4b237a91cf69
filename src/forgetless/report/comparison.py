"""A comparison of methods in a terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from forgetless.comparing.result import ArmResult, Comparison
from forgetless.errors import RunFolderError
from forgetless.metrics import Figure
from forgetless.report.markup import plain, table
from forgetless.report.plain_data import read_document
from forgetless.report.terminal import writer
from forgetless.report.wording import ABSENT, MINUS, interval, number

FORMAT = 1
LONG, WIDE = ("elsewhere",), 100
"""Columns for which a terminal has no room, unless it is so wide."""

LEGEND = (
    "end: average accuracy after the last stage; learned: right after each was learned; forgot: "
    "what was lost since; gap closed: 0% as plain, 100% as joint training; elsewhere: change on "
    "the tasks that are only tested; cost and memory relative to plain training. "
)
SPLIT = "Half of the items chose rates and strengths, these figures are of the other half."
SPLIT_FOR_BUDGET = (
    "A quarter of the items chose rates and strengths, these figures are of another quarter; the "
    "half on which forgetless run certifies the budget was left alone."
)


class TerminalComparison:
    """A renderable for a Rich console.

    Args:
        comparison: What was found.
    """

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, then the recommendation."""
        found, text = self.comparison, writer(options)
        yield text(heading(found), "bold")
        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        left_out = () if options.max_width >= WIDE else LONG
        short = [name for name in cells(found, found.arms[0]) if name not in left_out]
        for name in short:
            right = name != "method"
            table.add_column(
                text(name), justify="right" if right else "left", no_wrap=right, overflow="fold"
            )
        for arm in found.arms:
            style = "bold green" if arm.name == found.recommended else ""
            row = cells(found, arm)
            table.add_row(*(text(row[name][0], style) for name in short))
        yield table
        for failure in failures(found):
            yield Padding(text(failure, "red"), (0, 0, 0, 2))
        yield Text()
        for reason in found.reasons:
            yield text(reason)


def render_comparison_markdown(found: Comparison) -> str:
    """The same as Markdown, with the intervals of every figure."""
    lines = [f"# {plain(heading(found))}", "", *(plain(reason) for reason in found.reasons), ""]
    rows = [cells(found, arm) for arm in found.arms]
    shown = [[f"{cell} ({more})" if more else cell for cell, more in row.values()] for row in rows]
    lines += [table(list(rows[0]), [[plain(cell) for cell in row] for row in shown])]
    if len(found.seeds) > 1:
        lines += ["", *(f"- {plain(line)}" for line in seed_lines(found))]
    lines += ["", *(f"- {plain(failure)}" for failure in failures(found))]
    names = ", ".join(arm.name for arm in found.frontier)
    lines += [
        "",
        plain(f"On the frontier, where no other learned more and forgot less: {names}."),
        "",
        f"{legend(found)} {found.level:.0%} intervals over items.",
        "",
    ]
    return "\n".join(lines)


def render_comparison_json(found: Comparison) -> str:
    """Everything, for a program; what was not measured is null with the reason beside it."""
    return (
        json.dumps(
            {"format": FORMAT, **asdict(found), "frontier": [arm.name for arm in found.frontier]},
            indent=1,
            allow_nan=False,
        )
        + "\n"
    )


def read_comparison(folder: Path) -> Comparison:
    """Read ``compare.json`` back.

    Raises:
        RunFolderError: if it is missing, of another format, or not what it must be.
    """
    file, command = folder / "compare.json", "forgetless compare PLAN"
    found = read_document(file, Comparison, FORMAT, command)
    if not found.arms:
        raise RunFolderError(f"{file}: 'arms' is empty", fix=f"make it again: {command}")
    return found


def legend(found: Comparison) -> str:
    """What the columns mean."""
    over = (
        " Over: the largest loss of an older task or of one that is only tested, less the budget; "
        "of an arm's points the best within the budget is taken, but for the two bounds."
    )
    return LEGEND + (SPLIT_FOR_BUDGET + over if found.budget else SPLIT)


def heading(found: Comparison) -> str:
    """What was compared, in a line."""
    part = "" if found.pilot == 1 else f", a pilot of {found.pilot:.0%}"
    budget = f", budget {found.budget}" if found.budget else ""
    return f"{found.model}: {' → '.join(found.tasks)}{budget}{part}"


def failures(found: Comparison) -> list[str]:
    """Why arms have no figures."""
    return [f"{arm.name}: {arm.failed}" for arm in found.arms if arm.failed is not None]


def seed_lines(found: Comparison) -> list[str]:
    """What each arm came to with every training seed."""
    return [
        f"{arm.name}: {', '.join(f'{number(value)} (seed {seed})' for seed, value in told)}"
        for arm in found.arms
        if (told := list(arm.by_seed.items()))
    ]


def cells(found: Comparison, arm: ArmResult) -> dict[str, tuple[str, str]]:
    """A row of the table: by column what it says, and its limits or what more there is to say."""
    over = {"over": _ends(arm.over_budget, signed=True)} if found.budget else {}
    closed, limits = arm.gap_closed.value, arm.gap_closed.interval
    return {
        "method": (arm.name, ", ".join(f"{key} {value}" for key, value in arm.options.items())),
        "rate": (ABSENT if arm.rate is None else f"{arm.rate:.1e}".replace("e-0", "e-"), ""),
        "end": _ends(arm.accuracy),
        "learned": _ends(arm.learned),
        "forgot": _ends(arm.forgetting, signed=True),
        "gap closed": (
            ABSENT if closed is None else _percent(closed),
            "" if limits is None else f"{_percent(limits.low)} to {_percent(limits.high)}",
        ),
        "elsewhere": _ends(arm.elsewhere, signed=True),
        **over,
        "cost": (_times(arm.cost), ""),
        "memory": (_times(arm.memory), ""),
    }


def _ends(figure: Figure, *, signed: bool = False) -> tuple[str, str]:
    limits = figure.interval
    ends = "" if limits is None else interval(limits.low, limits.high, signed=signed)
    return ABSENT if figure.value is None else number(figure.value, signed=signed), ends


def _percent(value: float) -> str:
    return f"{value:.0%}".replace("-", MINUS)


def _times(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.2f}×"
