"""The terminal: colours, tables and bars where there is one, plain lines where there is not."""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bars,
)

from forgetless.progress import Progress
from forgetless.showing import shown

LINE_EVERY = 10.0  # seconds between plain lines of one activity
PIPE_WIDTH = 160  # columns where nobody's window says how many: a row stays on one line


def open_console(*, stderr: bool = False) -> Console:
    """Where results are written; colours only on a terminal, and none if NO_COLOR is set.

    Args:
        stderr: Write there, because standard output is for JSON.
    """
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    return console


class TerminalProgress(Progress):
    """Shows run, stage, step, loss and time left.

    Args:
        console: Where to write; without a terminal behind it, lines replace bars.
        quiet: Show nothing but notes.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._bars: Bars | None = None
        self._bar: TaskID | None = None
        self._where = ""
        self._activity = ""
        self._begun = 0.0
        self._line_due = 0.0
        if console.is_terminal and not console.is_dumb_terminal and not quiet:
            self._bars = Bars(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[figure]}"),
                TimeRemainingColumn(compact=True),
                console=console,
                transient=True,
            )

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def stage(self, run: str, name: str, number: int, last: int) -> None:
        """A stage begins."""
        what = "untouched model" if number == 0 else name.partition("-")[2]
        self._where = f"{run} · stage {number}/{last} · {what}"
        self._activity = ""

    def model(self, label: str, number: int, last: int) -> None:
        """A model of an audit is asked."""
        self._where = f"audit · model {number}/{last} · {label}"
        self._activity = ""

    def runs(self, done: int, total: int) -> None:
        """Runs of a comparison are finished."""
        self._show("runs of the comparison", done, total, "")

    def points(self, doing: str, done: int, total: int) -> None:
        """Points of a repair were asked."""
        self._show(doing, done, total, "")

    def working(self, what: str) -> None:
        """Something without steps begins."""
        self._show(what, 0, None, "")

    def trained(self, step: int, steps: int, loss: float) -> None:
        """An optimiser step was taken."""
        self._show("training", step, steps, f"loss {loss:.3f}")

    def scored(self, task: str, done: int, total: int) -> None:
        """Items of a task were scored."""
        self._show(f"scoring {task}", done, total, "")

    def note(self, text: str) -> None:
        """Something the user should read."""
        self._console.print(shown(text), highlight=False, markup=False, soft_wrap=True)

    def _show(self, activity: str, done: int, total: int | None, figure: str) -> None:
        if self._quiet:
            return
        text = shown(f"{self._where} · {activity}" if self._where else activity)
        fresh = text != self._activity
        self._activity = text
        if self._bars is not None:
            if fresh:
                if self._bar is not None:
                    self._bars.remove_task(self._bar)
                self._bar = self._bars.add_task(text, total=total, figure=figure)
            assert self._bar is not None
            self._bars.update(self._bar, completed=done, figure=figure)
            return
        now = time.monotonic()
        if fresh:
            self._begun, self._line_due = now, now
        if now >= self._line_due or (total is not None and done == total):
            self._line_due = now + LINE_EVERY
            self._console.print(
                " · ".join(filter(None, [text, self._count(done, total, now), figure])),
                highlight=False,
                markup=False,
                soft_wrap=True,
            )

    def _count(self, done: int, total: int | None, now: float) -> str:
        if total is None:
            return ""
        left = (now - self._begun) / done * (total - done) if 0 < done < total else 0
        return f"{done}/{total}" + (f" · {left:.0f} s left" if left else "")
