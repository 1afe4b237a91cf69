"""The change of each task with its limits, against the loss that is accepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetless.metrics import Unit
from forgetless.report.charts.axis import Axis, axis
from forgetless.report.charts.marks import add_mark, text_width
from forgetless.report.charts.svg import Node, picture
from forgetless.report.wording import clipped, interval, number

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 340.0, 2.0, 2.0, 20.0, 40.0
ROW, BAND = 46.0, 20.0
"""Height of a task's row, and of the band at its foot in which the change lies; the words stand
above the band, so that no line crosses them."""
LABEL = 12.0


@dataclass(frozen=True, slots=True)
class Changed:
    """One task.

    Attributes:
        task: Its name.
        word: Its verdict, written beside it.
        change: After less before; ``None`` if it was not measured.
        low: Lower limit of the change, where it is known.
        high: Upper limit.
        budget: Largest loss accepted, positive.
        class_: CSS class that colours it.
        shape: Shape of its mark, so that colour is never the only difference.
        hollow: Whether the mark is hollow: nothing is decided.
    """

    task: str
    word: str
    change: float | None
    low: float | None
    high: float | None
    budget: float
    class_: str
    shape: str
    hollow: bool


@dataclass(frozen=True, slots=True)
class BudgetPicture:
    """What to draw: the tasks of one unit for one model after.

    Attributes:
        identifier: Unique in the page.
        label: Name of the model after.
        unit: Unit of the changes.
        rows: One per task.
        range: Least and greatest change drawn, the same for all models.
    """

    identifier: str
    label: str
    unit: Unit
    rows: Sequence[Changed]
    range: tuple[float, float]


def change_range(rows: Sequence[Changed]) -> tuple[float, float]:
    """The range that holds every limit, zero and the budget, with some air."""
    ends = [end for row in rows for end in (row.change, row.low, row.high) if end is not None]
    ends += [0.0, *(-row.budget for row in rows)]
    low, high = min(ends), max(ends)
    air = max((high - low) * 0.06, 0.01)
    return low - air, high + air


def draw_budget(what: BudgetPicture) -> Node:
    """Draw the tasks, one below the other.

    Left of the solid line something was lost; in the shaded part, more than is accepted.
    """
    height = TOP + ROW * len(what.rows) + BOTTOM
    across = axis(*what.range, LEFT, WIDTH - RIGHT)
    root = picture(
        WIDTH,
        height,
        title=f"{what.label}: change of each task against the budget",
        description=" ".join(_spoken(row) for row in what.rows),
        identifier=what.identifier,
        class_="chart budget",
    )
    end = height - BOTTOM
    for place, row in enumerate(what.rows):
        edge, foot = across(-row.budget), TOP + ROW * (place + 1)
        top = foot - BAND
        root.add("rect", x=LEFT, y=top, width=edge - LEFT, height=BAND, class_="lost-area")
        for tick in across.ticks:
            x = across(tick)
            class_ = "zero" if abs(tick) < 1e-9 else "grid"
            root.add("line", x1=x, x2=x, y1=top, y2=foot, class_=class_)
        root.add("line", x1=edge, x2=edge, y1=top, y2=foot, class_="accepted")
    for tick in across.ticks:
        x = across(tick)
        side = _side(x, text_width(across.spelled(tick), 11) / 2)
        root.add("text", across.spelled(tick), x=x, y=end + 15, class_=f"tick {side}")
    unit = "nats per token" if what.unit == "nats" else "score"
    root.add(
        "text", f"← lost  ·  {unit}  ·  gained →", x=WIDTH / 2, y=end + 33, class_="note middle"
    )
    for budget in sorted({row.budget for row in what.rows}):
        told = f"budget {number(-budget)}"
        side = _side(across(-budget), text_width(told, 11) / 2)
        root.add("text", told, x=across(-budget), y=TOP - 9, class_=f"note {side}")
    for place, row in enumerate(what.rows):
        _draw_row(root, row, across, TOP + ROW * place)
    return root


def _draw_row(root: Node, row: Changed, across: Axis, top: float) -> None:
    group = root.add("g", class_=f"row {row.class_}")
    room = WIDTH - LEFT - RIGHT - text_width(row.word, LABEL) - 12
    name = clipped(row.task, max(int(room / text_width("n", LABEL)), 8))
    group.add("text", name, x=LEFT, y=top + 19, class_="name")
    group.add("text", row.word, x=WIDTH - RIGHT, y=top + 19, class_="word end")
    y = top + ROW - BAND / 2
    if row.change is None:
        group.add("text", "not measured", x=LEFT + 4, y=y + 4, class_="note")
        return
    if row.low is not None and row.high is not None:
        low, high = across(row.low), across(row.high)
        group.add("line", x1=low, x2=high, y1=y, y2=y, class_="limits")
        for x in (low, high):
            group.add("line", x1=x, x2=x, y1=y - 4, y2=y + 4, class_="limits")
    class_ = "mark hollow" if row.hollow else "mark"
    mark = add_mark(group, row.shape, across(row.change), y, 4.6, class_)
    mark.add("title", _spoken(row))


def _side(x: float, half: float) -> str:
    """Where a text centred at x must be anchored to stay in the picture."""
    if x - half < LEFT:
        return "start"
    return "end" if x + half > WIDTH - RIGHT else "middle"


def _spoken(row: Changed) -> str:
    if row.change is None:
        return f"{row.task}: {row.word}, not measured."
    told = f"{row.task}: {row.word}, {number(row.change, signed=True)}"
    if row.low is not None and row.high is not None:
        told += f", limits {interval(row.low, row.high, signed=True)}"
    return f"{told}."
