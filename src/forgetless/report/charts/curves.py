"""The score on one task after each stage, all arms in one small picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetless.metrics import Unit
from forgetless.report.charts.axis import Axis, axis
from forgetless.report.charts.labels import spread
from forgetless.report.charts.marks import ArmStyle, add_mark, text_width
from forgetless.report.charts.svg import Node, path, picture
from forgetless.report.wording import clipped, number, score

WIDTH, HEIGHT = 340.0, 208.0
LEFT, TOP, BOTTOM = 32.0, 22.0, 30.0
LABEL, TICK = 12.0, 11.0
MOST_LABEL = 15


@dataclass(frozen=True, slots=True)
class Measured:
    """One point of a curve: a score and, where it is known, its interval."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """One arm in the picture.

    Attributes:
        label: Name of the arm.
        style: Its look.
        points: Per stage; ``None`` where it was not measured, which leaves a gap.
    """

    label: str
    style: ArmStyle
    points: Sequence[Measured | None]


@dataclass(frozen=True, slots=True)
class CurvePicture:
    """What to draw.

    Attributes:
        identifier: Unique in the page.
        task: Name of the task.
        unit: Unit of its scores.
        stages: Names of the stages, 0 first.
        trained_in: Stage in which the task is learned, if it is.
        curves: One per arm.
        reference: The joint run's final score and the look of its line.
        range: Lowest and highest score drawn, the same for all tasks of a unit.
    """

    identifier: str
    task: str
    unit: Unit
    stages: Sequence[str]
    trained_in: int | None
    curves: Sequence[Curve]
    reference: tuple[float, ArmStyle] | None
    range: tuple[float, float]


def draw_curves(what: CurvePicture) -> Node:
    """Draw a task's scores over the stages.

    Bands are intervals; the upright line marks the stage in which the task was learned.
    """
    names = [clipped(curve.label, MOST_LABEL) for curve in what.curves]
    names += ["joint"] if what.reference else []
    right = WIDTH - 14 - max((text_width(name, LABEL) for name in names), default=0)
    across = Axis(0, max(len(what.stages) - 1, 1), LEFT + 6, right, ())
    up = axis(*what.range, HEIGHT - BOTTOM, TOP)
    root = picture(
        WIDTH,
        HEIGHT,
        title=f"{what.task}: score after each stage",
        description=_description(what),
        identifier=what.identifier,
        class_="chart curves",
    )
    _draw_frame(root, what, across, up, right)
    for curve in what.curves:
        _draw_band(root, curve, across, up)
    if what.reference:
        value, style = what.reference
        root.add(
            "line",
            x1=LEFT,
            x2=right,
            y1=up(value),
            y2=up(value),
            class_=f"reference {style.class_}",
        )
    for curve in what.curves:
        _draw_line(root, curve, across, up, what.trained_in)
    _draw_names(root, what, names, up, right)
    return root


def _draw_frame(root: Node, what: CurvePicture, across: Axis, up: Axis, right: float) -> None:
    for tick in up.ticks:
        y = up(tick)
        root.add("line", x1=LEFT, x2=right, y1=y, y2=y, class_="grid")
        root.add("text", up.spelled(tick), x=LEFT - 6, y=y + 3.8, class_="tick end")
    if what.trained_in is not None:
        x = across(what.trained_in)
        root.add("line", x1=x, x2=x, y1=TOP - 4, y2=HEIGHT - BOTTOM, class_="learned")
        side = "end" if x > (LEFT + right) / 2 else "start"
        root.add("text", "learned here", x=x, y=TOP - 9, class_=f"note {side}")
    for stage, name in enumerate(_stage_labels(what.stages, across)):
        own = " strong" if stage == what.trained_in else ""
        last = len(what.stages) - 1
        side = "start" if stage == 0 and len(name) > 2 else "middle"
        side = "end" if stage == last and len(name) > 2 else side
        x = across(stage) - 6 if side == "start" else across(stage)
        root.add("text", name, x=x, y=HEIGHT - BOTTOM + 17, class_=f"tick {side}{own}")


def _stage_labels(stages: Sequence[str], across: Axis) -> list[str]:
    """The names where they fit beside each other, else the numbers."""
    room = (across.end - across.start) / max(len(stages) - 1, 1) - 6
    names = [clipped(name, 11) for name in stages]
    if all(text_width(name, TICK) <= room for name in names):
        return names
    return [str(index) for index in range(len(stages))]


def _draw_band(root: Node, curve: Curve, across: Axis, up: Axis) -> None:
    for run in _unbroken(curve.points):
        known = [(s, p.low, p.high) for s, p in run if p.low is not None and p.high is not None]
        if len(known) == len(run) > 1:
            upper = [(across(stage), up(high)) for stage, _, high in known]
            lower = [(across(stage), up(low)) for stage, low, _ in reversed(known)]
            root.add(
                "path", d=path(upper + lower, closed=True), class_=f"band {curve.style.class_}"
            )


def _draw_line(root: Node, curve: Curve, across: Axis, up: Axis, trained_in: int | None) -> None:
    group = root.add("g", class_=curve.style.class_)
    for run in _unbroken(curve.points):
        if len(run) > 1:
            group.add("path", d=path([(across(s), up(p.value)) for s, p in run]), class_="line")
        for stage, point in run:
            own = stage == trained_in
            mark = add_mark(
                group,
                curve.style.shape,
                across(stage),
                up(point.value),
                4.6 if own else 2.8,
                "mark ring" if own else "mark",
            )
            mark.add("title", f"{curve.label}, stage {stage}: {number(point.value)}")


def _draw_names(
    root: Node, what: CurvePicture, names: Sequence[str], up: Axis, right: float
) -> None:
    ends: list[tuple[float, str, str]] = []
    for curve, name in zip(what.curves, names, strict=False):
        last = next((point for point in reversed(curve.points) if point is not None), None)
        if last is not None:
            ends.append((up(last.value), name, curve.style.class_))
    if what.reference:
        ends.append((up(what.reference[0]), names[-1], what.reference[1].class_))
    places = spread([end[0] for end in ends], gap=14, low=TOP, high=HEIGHT - BOTTOM)
    for y, (_, name, class_) in zip(places, ends, strict=True):
        root.add("text", name, x=right + 9, y=y + 4, class_=f"name {class_}")


def _unbroken(points: Sequence[Measured | None]) -> list[list[tuple[int, Measured]]]:
    """The stretches between gaps."""
    runs: list[list[tuple[int, Measured]]] = [[]]
    for stage, point in enumerate(points):
        if point is None:
            runs.append([])
        else:
            runs[-1].append((stage, point))
    return [run for run in runs if run]


def _description(what: CurvePicture) -> str:
    learned = (
        "It is only tested, never trained."
        if what.trained_in is None
        else f"It is learned in stage {what.trained_in}, {what.stages[what.trained_in]}."
    )
    parts = [learned]
    for curve in what.curves:
        values = ", ".join(
            f"{stage} {'not measured' if point is None else number(point.value)}"
            for stage, point in zip(what.stages, curve.points, strict=False)
        )
        parts.append(f"{curve.label}: {values}.")
    if what.reference:
        parts.append(f"Joint training reaches {score(what.reference[0], what.unit)}.")
    return " ".join(parts)
