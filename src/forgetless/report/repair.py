"""A repair in a terminal and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from forgetless.layout import REPAIR
from forgetless.metrics import word_for
from forgetless.repairing.result import PointScored, RepairResult, Status
from forgetless.report.plain_data import read_document
from forgetless.report.terminal import writer
from forgetless.report.wording import ABSENT, clipped, listing, number

FORMAT = 1
TITLES: Mapping[Status, str] = {
    "repaired": "Repaired",
    "uncertain": "Repaired, not certified",
    "not certified": "Not repaired",
    "nothing lost": "Nothing to repair",
    "no loss seen": "No loss seen, not certified",
    "no point": "No repair",
}
_STYLES: Mapping[Status, str] = {
    "repaired": "bold green",
    "uncertain": "bold yellow",
    "not certified": "bold red",
    "nothing lost": "bold green",
    "no loss seen": "bold yellow",
    "no point": "bold red",
}
MOST_POINTS = 8
POINTS = (
    "a point: how far to go from BASE (0) to TUNED (1); a/b/c: in the first, middle and last third "
    "of the layers"
)


class TerminalRepair:
    """A renderable for a Rich console.

    Args:
        result: What was found.
    """

    def __init__(self, result: RepairResult) -> None:
        self.result = result

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The outcome, the certificate, and the nearest choices."""
        found, text = self.result, writer(options)
        line = text(f"{TITLES[found.status]} (exit code {found.exit_code})", _STYLES[found.status])
        line.append_text(text(f": {found.reason}."))
        yield line
        yield text(f"lost: {listing(list(found.lost)) if found.lost else 'nothing'}; "
                   f"learned: {listing(list(found.learned)) if found.learned else 'nothing'}; "
                   f"{found.asked} points tried", "dim")  # fmt: skip
        if found.point is not None:
            yield Text()
            where = f"at {found.point.name} of the way from base to tuned"
            yield text(f"{where if found.lost else 'the tuned model'}, on other items", "bold")
            yield self._certificate(options)
            for verdict in found.certificate:
                if word_for(verdict) != "certified":
                    yield text(f"  - {verdict.task}: {verdict.reason}.")
        if found.frontier:
            yield Text()
            yield text("nearest choices, on the items that searched", "bold")
            yield self._frontier(options)
            yield text(POINTS, "dim")
        if step := next_step(found):
            yield Text()
            yield text(step)

    def _certificate(self, options: ConsoleOptions) -> Table:
        text = writer(options)
        table = _table(
            ("task", "budget", "base", "there", "loss", "at most", "verdict", "learning kept")
        )
        for verdict in self.result.certificate:
            limits = verdict.change.interval
            kept = self.result.kept.get(verdict.task)
            cells = (
                clipped(verdict.task, 40),
                number(verdict.budget),
                _value(verdict.before.value),
                _value(verdict.after.value),
                ABSENT if verdict.change.value is None else _loss(verdict.change.value),
                ABSENT if limits is None else _loss(limits.low),
                "gained" if limits is not None and limits.low > 0 else word_for(verdict),
                "" if kept is None else f"{kept:.0%}",
            )
            table.add_row(*map(text, cells))
        return table

    def _frontier(self, options: ConsoleOptions) -> Table:
        text = writer(options)
        tasks = list(self.result.frontier[0].scores)
        table = _table(("point", "learning kept", "over budget", *tasks))
        for point in self.result.frontier[:MOST_POINTS]:
            table.add_row(*map(text, _cells(point)))
        return table


def next_step(found: RepairResult) -> str:
    """What to do about it; empty where nothing needs to be done."""
    if found.status in ("repaired", "nothing lost"):
        return ""
    if found.status in ("uncertain", "no loss seen"):
        return "To be sure, ask more items: half of them search, the other half certify."
    if not found.learned:
        return "If it was tuned for a task that is not here, name that as well:  --task FILE"
    return (
        "Accept a larger --budget (the choices above say by how much each is over this one), or "
        "train again with a protection:  forgetless init OLD.jsonl NEW.jsonl"
    )


def render_repair_json(found: RepairResult) -> str:
    """Everything, for a program."""
    document = {"format": FORMAT, "exit_code": found.exit_code, **asdict(found)}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def read_repair(folder: Path) -> RepairResult:
    """Read ``repair.json`` back.

    Raises:
        RunFolderError: if it is missing, of another format, or not what it must be.
    """
    command = "forgetless repair BASE TUNED --task TASK"
    return read_document(folder / REPAIR, RepairResult, FORMAT, command)


def _cells(point: PointScored) -> list[str]:
    over = number(point.over) if point.over else "within"
    return [point.name, f"{point.learned:.0%}", over, *map(_value, point.scores.values())]


def _table(names: tuple[str, ...]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for place, name in enumerate(names):
        table.add_column(clipped(name, 16), justify="right" if place else "left", overflow="fold")
    return table


def _value(value: float | None) -> str:
    return ABSENT if value is None else number(value)


def _loss(change: float) -> str:
    return number(-change, signed=True)
