"""Learned against forgotten: what each arm of a comparison gave the one for the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetless.report.charts.axis import axis
from forgetless.report.charts.labels import Box
from forgetless.report.charts.marks import REFERENCE_STYLE, ArmStyle, add_mark
from forgetless.report.charts.names import add_names
from forgetless.report.charts.svg import Node, path, picture
from forgetless.report.wording import number

WIDTH, HEIGHT = 460.0, 380.0
LEFT, TOP, RIGHT, BOTTOM = 44.0, 30.0, 16.0, 42.0


@dataclass(frozen=True, slots=True)
class TradePoint:
    """One arm.

    Attributes:
        name: Its name.
        style: Its look.
        learned: Mean score of the tasks right after each was learned.
        forgotten: Mean of what was lost of it by the end; positive = lost.
        on_frontier: Whether no other arm beats it in both.
        taken: Whether it is the one that is recommended.
    """

    name: str
    style: ArmStyle
    learned: float
    forgotten: float
    on_frontier: bool
    taken: bool


def draw_trade(points: Sequence[TradePoint], joint: float | None) -> Node:
    """Draw the arms, the frontier, and what joint training learned.

    The nearer to the upper right corner, the better: all was learned there and nothing lost.

    Args:
        points: The arms, at least one.
        joint: Mean score of joint training, drawn as a line; None if it was not measured.
    """
    across = axis(*_range([p.learned for p in points], joint), LEFT, WIDTH - RIGHT)
    up = axis(*_range([-p.forgotten for p in points], 0.0), HEIGHT - BOTTOM, TOP)
    root = picture(
        WIDTH,
        HEIGHT,
        title="Learned against forgotten",
        description=" ".join(_spoken(point) for point in points),
        identifier="trade",
        class_="chart trade",
    )
    for tick in up.ticks:
        class_ = "zero" if abs(tick) < 1e-9 else "grid"
        root.add("line", x1=LEFT, x2=WIDTH - RIGHT, y1=up(tick), y2=up(tick), class_=class_)
        root.add("text", up.spelled(tick), x=LEFT - 6, y=up(tick) + 3.8, class_="tick end")
    for tick in across.ticks:
        root.add(
            "text", across.spelled(tick), x=across(tick), y=HEIGHT - BOTTOM + 16,
            class_="tick middle",
        )  # fmt: skip
    root.add("text", "score when learned →", x=WIDTH - RIGHT, y=HEIGHT - 8, class_="note end")
    root.add("text", "↑ change by the end", x=0, y=TOP - 15, class_="note")
    if joint is not None:
        x = across(joint)
        line = root.add("g", class_=REFERENCE_STYLE.class_)
        line.add("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, class_="reference")
        line.add("text", "joint", x=x - 5, y=HEIGHT - BOTTOM - 6, class_="note end")
    places = [(across(point.learned), up(-point.forgotten)) for point in points]
    corners = sorted(place for place, point in zip(places, points, strict=True)
                     if point.on_frontier)  # fmt: skip
    if len(corners) > 1:
        root.add("path", d=path(corners), class_="frontier")
    groups = [root.add("g", class_=point.style.class_) for point in points]
    for group, point, (x, y) in zip(groups, points, places, strict=True):
        if point.taken:
            group.add("circle", cx=x, cy=y, r=9.5, class_="taken")
        class_ = "mark" if point.on_frontier else "mark hollow"
        add_mark(group, point.style.shape, x, y, 5.0, class_).add("title", _spoken(point))
    frame = Box(LEFT + 2, TOP - 4, WIDTH - LEFT - RIGHT - 4, HEIGHT - TOP - BOTTOM)
    add_names(groups, [point.name for point in points], places, frame, most=28, gap=11.0)
    return root


def _range(values: Sequence[float], also: float | None) -> tuple[float, float]:
    found = [*values, *([] if also is None else [also])]
    low, high = min(found), max(found)
    air = max((high - low) * 0.12, 0.03)
    return low - air, high + air


def _spoken(point: TradePoint) -> str:
    told = f"{point.name}: {number(point.learned)} learned, {number(-point.forgotten, signed=True)}"
    return f"{told} by the end{', recommended' if point.taken else ''}."
