"""The report in a terminal: the verdict, and the score matrices side by side where they fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rich.box import SIMPLE_HEAD
from rich.columns import Columns
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from forgetless.metrics import Unit
from forgetless.report.analysis import Arm, Report
from forgetless.report.budget import budget_tables, choice_lines, headline
from forgetless.report.data import TaskInfo
from forgetless.report.figures import FIGURES
from forgetless.report.outcome import TaskOutcome
from forgetless.report.verdict import Verdict, reach_verdict
from forgetless.report.wording import ABSENT, clipped, interval, number
from forgetless.showing import visible

_ASCII = str.maketrans({"\N{MINUS SIGN}": "-", ABSENT: "-", "…": "~", "×": "x", "→": ">"})
_UNITS: tuple[tuple[Unit, str], ...] = (
    ("accuracy", "score on each task after each stage"),
    ("nats", "log-likelihood per token after each stage, in nats"),
)
MOST_NAME = 14


class TerminalReport:
    """A renderable for a Rich console; plain text where the console has no colour.

    Args:
        report: Everything computed from the runs.
        verdict: Its two sentences; reached anew if not given.
    """

    def __init__(self, report: Report, verdict: Verdict | None = None) -> None:
        self.report = report
        self.verdict = verdict or reach_verdict(report)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the report out for the width and the characters of the console."""
        text = writer(options)
        first, second = self.verdict.sentences
        yield text(first, "bold")
        yield text(second)
        yield Text()
        for unit, heading in _UNITS:
            tasks = [task for task in self.report.tasks if task.unit == unit]
            if tasks:
                yield text(heading, "bold")
                tables = [_matrix(arm, tasks, text) for arm in self.report.arms]
                yield Columns([Padding(table, (0, 0, 1, 0)) for table in tables], padding=(0, 3))
        yield text("[ ] trained in this stage   * lost or gained more than chance explains", "dim")
        for arm in self.report.arms:
            if arm.budget is not None:
                yield Text()
                yield text(f"retention budget of {arm.title}: {headline(arm.budget)}", "bold")
                for head, rows in budget_tables(arm.budget):
                    yield Padding(plain_table(head, rows, text), (0, 0, 1, 0))
                for line in choice_lines(arm.budget):
                    yield text(line, "dim")
        yield from _figures(self.report.arms, text, options.max_width)
        if self.report.warnings:
            yield Text()
            yield text("before trusting these numbers", "bold yellow")
            for warning in self.report.warnings:
                yield Padding(text(f"- {warning}"), (0, 0, 0, 2))


class Write(Protocol):
    """Puts a text into the signs that the console has."""

    def __call__(self, content: str, style: str = "") -> Text:
        """The content as this console can show it."""


def writer(options: ConsoleOptions) -> Write:
    """Writes for one console: what is hidden is shown, and signs that it lacks are replaced."""

    def text(content: str, style: str = "") -> Text:
        shown = visible(content)
        if options.ascii_only:  # a name in another script must not stop the report
            shown = shown.translate(_ASCII).encode("ascii", "replace").decode()
        return Text(shown, style=style)

    return text


def plain_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], text: Write, *, left: int = 1
) -> Table:
    """A table with a line below its head and no other.

    Args:
        head: Names of the columns.
        rows: Their cells.
        text: Writes for the console that will show it.
        left: So many columns hold words; those after them hold numbers, and are set to the right.
    """
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for place, name in enumerate(head):
        justify: JustifyMethod = "left" if place < left else "right"
        table.add_column(text(name), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*map(text, row))
    return table


def _matrix(arm: Arm, tasks: Sequence[TaskInfo], text: Write) -> RenderableType:
    table = Table(
        title=text(arm.title, "bold"),
        title_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        show_footer=True,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column(Text(), footer=text("forgetting", "dim"), no_wrap=True)
    for task in tasks:
        outcome = arm.outcome(task.name)
        table.add_column(
            text(clipped(task.name, MOST_NAME)),
            footer=_forgetting(outcome, text),
            justify="right",
            overflow="fold",
        )
    for stage in arm.run.stages:
        cells = [_cell(arm, stage.index, arm.outcome(task.name).task, text) for task in tasks]
        table.add_row(text(clipped(f"{stage.index} {stage.title}", MOST_NAME + 3)), *cells)
    return table


def _cell(arm: Arm, row: int, task: TaskInfo, text: Write) -> Text:
    value = arm.scores.get((row, task.name))
    shown = ABSENT if value is None else number(value)
    if task.trained_in == row:
        return text(f"[{shown}]", "bold")
    return text(f"{shown} ", "dim" if value is None else "")


def _forgetting(outcome: TaskOutcome, text: Write) -> Text:
    figure = outcome.summary.forgetting
    if figure.value is None:
        return text(f"{ABSENT} ", "dim")
    sure = outcome.fate in {"lost", "improved"} or outcome.doubt == "guessed"
    style = {"lost": "bold red", "improved": "bold green"}.get(outcome.fate, "")
    return text(f"{number(figure.value, signed=True)}{'*' if sure else ' '}", style)


def _figures(arms: Sequence[Arm], text: Write, width: int) -> RenderResult:
    """The figures that exist for some arm; where the arms do not fit beside each other, a list."""
    kinds = [kind for kind in FIGURES if any(kind.of(arm).value is not None for arm in arms)]
    if not kinds:
        return
    yield Text()
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(text("figure"), no_wrap=True)
    narrow = 28 + 22 * len(arms) > width
    for arm in arms:
        table.add_column(text(clipped(arm.title, 22)), justify="right")
    for kind in kinds:
        cells = []
        for arm in arms:
            figure = kind.of(arm)
            if figure.value is None:
                cells.append(text(ABSENT, "dim"))
                continue
            cell = text(number(figure.value, signed=kind.signed))
            if figure.interval is not None and not narrow:
                ends = interval(figure.interval.low, figure.interval.high, signed=kind.signed)
                cell.append_text(text(f" ({ends})", "dim"))
            cells.append(cell)
        table.add_row(text(kind.name), *cells)
    yield table
