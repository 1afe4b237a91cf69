"""An audit in a terminal, 80 columns wide: the gate, what became of each task, and why."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from forgetless.auditing.result import Audit, Comparison, GateStatus
from forgetless.metrics import Figure, TaskVerdict
from forgetless.report.audit.phrases import (
    NEXT,
    Word,
    flips,
    gate_line,
    gate_title,
    moved,
    notes,
    plain_word,
    points,
    price,
    tally,
    why,
    word,
)
from forgetless.report.terminal import Write, writer
from forgetless.report.wording import ABSENT, clipped, count, duration, interval, number

_GATE: dict[GateStatus, str] = {
    "kept": "bold green",
    "broken": "bold red",
    "inconclusive": "bold yellow",
    "failed": "bold red",
}
_VERDICTS: dict[Word, str] = {
    "lost": "bold red",
    "failed": "bold red",
    "inconclusive": "yellow",
    "kept": "green",
    "gained": "green",
}

NARROW = 76
"""Below so many columns the limits go; the reasons below the table tell them."""

MOST_LABEL = 40


class TerminalAudit:
    """A renderable for a Rich console; plain text where the console has no colour.

    Args:
        audit: What was found.
    """

    def __init__(self, audit: Audit) -> None:
        self.audit = audit

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the audit out for the width and the characters of the console."""
        audit, text = self.audit, writer(options)
        title = gate_title(audit)
        line = text(title, _GATE[audit.gate])
        line.append_text(text(gate_line(audit).removeprefix(title)))
        yield line
        yield Text()
        if len(audit.comparisons) > 1:
            yield _matrix(audit, text)
            yield Text()
        for comparison in audit.comparisons:
            yield _heading(audit, comparison, text)
            yield _table(comparison, text, options.max_width)
            yield from _areas(comparison, text)
            if said := moved(comparison):
                yield text(said, "dim")
            yield from _reasons(comparison, text)
            yield Text()
        if audit.gate != "kept":
            yield text(NEXT[audit.gate])
        yield from _notes(audit, text)
        yield text(_costs(audit), "dim")


def _heading(audit: Audit, comparison: Comparison, text: Write) -> Text:
    labels = [clipped(label, MOST_LABEL) for label in (audit.before.label, comparison.after)]
    head = text(f"{labels[0]} → {labels[1]}", "bold")
    budget = f"budget {points(audit.budget)}"
    head.append_text(text(f"  {budget}  {audit.level:.0%} limits", "dim"))
    return head


def _matrix(audit: Audit, text: Write) -> RenderableType:
    """Every model on every task; a verdict that is not kept stands below its score."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(text("task"), overflow="fold")
    for info in audit.subjects:
        table.add_column(text(clipped(info.label, MOST_LABEL)), justify="right", overflow="fold")
    for asked in audit.tasks:
        verdicts = [comparison.verdict(asked.name) for comparison in audit.comparisons]
        row = [text(clipped(asked.name, MOST_LABEL)), _value(verdicts[0].before, text)]
        for verdict in verdicts:
            cell = _value(verdict.after, text)
            if verdict.verdict != "kept":
                told = plain_word(verdict)
                cell.append_text(text(f"\n{told}", _VERDICTS.get(told, "dim")))
            row.append(cell)
        table.add_row(*row)
    return table


def _table(comparison: Comparison, text: Write, width: int) -> RenderableType:
    wide = width >= NARROW
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(text("task"), overflow="fold")
    for name in ("before", "after", "change"):
        table.add_column(text(name), justify="right", no_wrap=True)
    if wide:
        table.add_column(text("limits"), justify="right", no_wrap=True)
    table.add_column(text("lost/\ngained"), justify="right", no_wrap=True)
    table.add_column(text("verdict"), no_wrap=wide)
    for verdict in comparison.verdicts:
        table.add_row(*_cells(verdict, text, wide=wide))
    return table


def _cells(verdict: TaskVerdict, text: Write, *, wide: bool) -> Iterator[Text]:
    yield text(clipped(verdict.task, MOST_LABEL))
    yield _value(verdict.before, text)
    yield _value(verdict.after, text)
    yield _value(verdict.change, text, signed=True)
    if wide:
        limits = verdict.change.interval
        ends = ABSENT if limits is None else interval(limits.low, limits.high, signed=True)
        yield text(ends, "dim")
    pair = flips(verdict)
    yield text(ABSENT if pair is None else f"{pair[0]}/{pair[1]}")
    yield text(word(verdict), _VERDICTS.get(plain_word(verdict), ""))


def _value(figure: Figure, text: Write, *, signed: bool = False) -> Text:
    if figure.value is None:
        return text(ABSENT, "dim")
    return text(number(figure.value, signed=signed))


def _areas(comparison: Comparison, text: Write) -> Iterator[RenderableType]:
    for area in comparison.areas:
        change = area.change
        told = ABSENT if change.value is None else number(change.value, signed=True)
        if change.interval is not None:
            ends = interval(change.interval.low, change.interval.high, signed=True)
            told = f"{told} ({ends})"
        line = f"{clipped(area.area, MOST_LABEL)}: {told} over {count(len(area.tasks), 'task')}"
        yield text(line, "dim")


def _reasons(comparison: Comparison, text: Write) -> Iterator[RenderableType]:
    """Why, for every task that was not kept."""
    yield text(tally(comparison))
    for verdict in comparison.verdicts:
        if verdict.verdict != "kept":
            line = text(f"- {clipped(verdict.task, MOST_LABEL)}: ", "bold")
            line.append_text(text(why(verdict)))
            yield Padding(line, (0, 0, 0, 2))


def _notes(audit: Audit, text: Write) -> Iterator[RenderableType]:
    found = notes(audit)
    if found:
        yield text("before trusting these numbers", "bold yellow")
        for note in found:
            yield Padding(text(f"- {note}"), (0, 0, 0, 2))


def _costs(audit: Audit) -> str:
    seconds = sum(cost.seconds for cost in audit.costs.values())
    asked = sum(cost.asked for cost in audit.costs.values())
    stored = sum(cost.stored for cost in audit.costs.values())
    requests = sum(cost.requests for cost in audit.costs.values())
    told = f"{count(asked, 'item')} asked, {stored:,} answered from the store, {duration(seconds)}"
    told = f"{told}, {count(requests, 'request')}" if requests else told
    return told if audit.price is None else f"{told}, {price(audit.price)} at the prices given"
