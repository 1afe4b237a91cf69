"""Learned against kept: how well each task was learned, and how much of it is there at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetless.metrics import Unit
from forgetless.report.charts.axis import Axis, axis
from forgetless.report.charts.curves import Measured
from forgetless.report.charts.labels import Box
from forgetless.report.charts.marks import ArmStyle, add_mark
from forgetless.report.charts.names import add_names
from forgetless.report.charts.svg import Node, path, picture
from forgetless.report.wording import number

WIDTH, HEIGHT = 340.0, 344.0
LEFT, TOP, RIGHT, BOTTOM = 36.0, 30.0, 14.0, 42.0


@dataclass(frozen=True, slots=True)
class KeptPoint:
    """One task.

    Attributes:
        task: Its name.
        learned: Score right after learning it; of the untouched model if it is only tested.
        kept: Score at the end.
        trained: Whether it was learned in this run.
    """

    task: str
    learned: Measured
    kept: Measured
    trained: bool = True


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """What to draw: the points of one arm, with those of the others behind.

    Attributes:
        identifier: Unique in the page.
        label: Name of the arm.
        style: Its look.
        unit: Unit of the scores.
        points: One per task.
        others: Positions of the other arms' points.
        range: Lowest and highest score drawn, the same for all arms.
    """

    identifier: str
    label: str
    style: ArmStyle
    unit: Unit
    points: Sequence[KeptPoint]
    others: Sequence[tuple[float, float]]
    range: tuple[float, float]


def draw_kept(what: KeptPicture) -> Node:
    """Draw one arm's tasks.

    On the diagonal nothing was lost.  The stem from the diagonal down to a point is what was lost,
    the bar around the point its interval.
    """
    across = axis(*what.range, LEFT, WIDTH - RIGHT)
    up = axis(*what.range, HEIGHT - BOTTOM, TOP)
    root = picture(
        WIDTH,
        HEIGHT,
        title=f"{what.label}: learned against kept",
        description=_description(what),
        identifier=what.identifier,
        class_="chart kept",
    )
    _draw_frame(root, across, up)
    for x, y in what.others:
        root.add("circle", cx=across(x), cy=up(y), r=2.6, class_="ghost")
    group = root.add("g", class_=what.style.class_)
    places = [(across(p.learned.value), up(p.kept.value)) for p in what.points]
    for point, (x, y) in zip(what.points, places, strict=True):
        if point.kept.low is not None and point.kept.high is not None:
            top, bottom = up(point.kept.high), up(point.kept.low)
            group.add(
                "rect", x=x - 3.5, y=top, width=7, height=max(bottom - top, 1), rx=3.5, class_="bar"
            )
        group.add("line", x1=x, x2=x, y1=up(point.learned.value), y2=y, class_="stem")
    for point, (x, y) in zip(what.points, places, strict=True):
        class_ = "mark" if point.trained else "mark hollow"
        mark = add_mark(group, what.style.shape, x, y, 5.0, class_)
        mark.add(
            "title",
            f"{point.task}: {number(point.learned.value)} learned, {number(point.kept.value)} kept",
        )
    stems = [
        Box(x - 4, min(y, top), 8, abs(y - top))
        for (x, y), top in zip(places, (up(p.learned.value) for p in what.points), strict=True)
    ]
    frame = Box(LEFT + 2, TOP - 8, WIDTH - LEFT - 4, HEIGHT - TOP - BOTTOM + 4)
    names = [point.task for point in what.points]
    add_names([group] * len(names), names, places, frame, most=18, obstacles=stems)
    return root


def _draw_frame(root: Node, across: Axis, up: Axis) -> None:
    low, high = across.low, across.high
    corner = [(across(low), up(low)), (across(high), up(high)), (across(high), up(low))]
    root.add("path", d=path(corner, closed=True), class_="lost-area")
    for tick in up.ticks:
        root.add("line", x1=LEFT, x2=WIDTH - RIGHT, y1=up(tick), y2=up(tick), class_="grid")
        root.add("text", up.spelled(tick), x=LEFT - 6, y=up(tick) + 3.8, class_="tick end")
        root.add(
            "text", up.spelled(tick), x=across(tick), y=HEIGHT - BOTTOM + 16, class_="tick middle"
        )
    root.add("path", d=path(corner[:2]), class_="diagonal")
    root.add("text", "score when learned →", x=WIDTH - RIGHT, y=HEIGHT - 8, class_="note end")
    root.add("text", "↑ score at the end", x=0, y=TOP - 15, class_="note")


def _description(what: KeptPicture) -> str:
    parts = [
        f"{point.task}: {number(point.learned.value)} "
        f"{'when learned' if point.trained else 'before any training'}, "
        f"{number(point.kept.value)} at the end."
        for point in what.points
    ]
    return " ".join(parts) or "No task was measured both when learned and at the end."
