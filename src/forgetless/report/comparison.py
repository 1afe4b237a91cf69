"""A comparison of methods in a terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from forgetless.comparing.result import ArmResult, Comparison
from forgetless.metrics import Figure
from forgetless.report.markup import plain, table
from forgetless.report.terminal import writer
from forgetless.report.wording import ABSENT, interval, number

FORMAT = 1
COLUMNS = ("method", "rate", "end", "learned", "forgot", "gap closed", "cost", "memory")


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
        for name in COLUMNS:
            right = name != "method"
            table.add_column(
                text(name), justify="right" if right else "left", no_wrap=right, overflow="fold"
            )
        for arm in found.arms:
            style = "bold green" if arm.name == found.recommended else ""
            table.add_row(*(text(cell, style) for cell in cells(arm)))
        yield table
        for failure in failures(found):
            yield Padding(text(failure, "red"), (0, 0, 0, 2))
        yield Text()
        for reason in found.reasons:
            yield text(reason)


def render_comparison_markdown(found: Comparison) -> str:
    """The same as Markdown, with the intervals of every figure."""
    lines = [f"# {plain(heading(found))}", "", *(plain(reason) for reason in found.reasons), ""]
    lines += [table(COLUMNS, [[plain(cell) for cell in _with_limits(arm)] for arm in found.arms])]
    lines += ["", *(f"- {plain(failure)}" for failure in failures(found))]
    lines += [
        "",
        f"*end*: average accuracy after the last stage; *learned*: right after each was learned; "
        f"*forgot*: what was lost since; *gap closed*: 0% as plain, 100% as joint training; *cost* "
        f"and *memory* relative to plain training. {found.level:.0%} intervals over items. Half of "
        "the items chose rates and strengths, these figures are of the other half.",
        "",
    ]
    return "\n".join(lines)


def render_comparison_json(found: Comparison) -> str:
    """Everything, for a program; what was not measured is null with the reason beside it."""
    return json.dumps({"format": FORMAT, **asdict(found)}, indent=1, allow_nan=False) + "\n"


def heading(found: Comparison) -> str:
    """What was compared, in a line."""
    part = "" if found.pilot == 1 else f", a pilot of {found.pilot:.0%}"
    return f"{found.model}: {' → '.join(found.tasks)}{part}"


def failures(found: Comparison) -> list[str]:
    """Why arms have no figures."""
    return [f"{arm.name}: {arm.failed}" for arm in found.arms if arm.failed is not None]


def cells(arm: ArmResult) -> tuple[str, ...]:
    """A row of the table."""
    closed = arm.gap_closed.value
    return (
        arm.name,
        ABSENT if arm.rate is None else f"{arm.rate:.1e}".replace("e-0", "e-"),
        _value(arm.accuracy),
        _value(arm.learned),
        _value(arm.forgetting, signed=True),
        ABSENT if closed is None else f"{closed:.0%}",
        _times(arm.cost),
        _times(arm.memory),
    )


def _with_limits(arm: ArmResult) -> Iterator[str]:
    name, rate, _, _, _, closed, cost, memory = cells(arm)
    options = ", ".join(f"{key} {value}" for key, value in arm.options.items())
    yield f"{name} ({options})" if options else name
    yield rate
    yield _ends(arm.accuracy)
    yield _ends(arm.learned)
    yield _ends(arm.forgetting, signed=True)
    limits = arm.gap_closed.interval
    yield closed if limits is None else f"{closed} ({limits.low:.0%} to {limits.high:.0%})"
    yield cost
    yield memory


def _value(figure: Figure, *, signed: bool = False) -> str:
    return ABSENT if figure.value is None else number(figure.value, signed=signed)


def _ends(figure: Figure, *, signed: bool = False) -> str:
    limits = figure.interval
    ends = "" if limits is None else f" ({interval(limits.low, limits.high, signed=signed)})"
    return _value(figure, signed=signed) + ends


def _times(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.2f}×"
