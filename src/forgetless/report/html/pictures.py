"""Choose what the pictures show; :mod:`forgetless.report.charts` draws them."""

from __future__ import annotations

from dataclasses import dataclass

from forgetless.metrics import Unit
from forgetless.report.analysis import Arm, Report
from forgetless.report.charts.axis import score_range
from forgetless.report.charts.curves import Curve, CurvePicture, Measured, draw_curves
from forgetless.report.charts.kept import KeptPicture, KeptPoint, draw_kept
from forgetless.report.charts.marks import REFERENCE_STYLE, ArmStyle, arm_style
from forgetless.report.charts.svg import Node

UNITS: tuple[Unit, ...] = ("accuracy", "nats")


@dataclass(frozen=True, slots=True)
class Panel:
    """One small picture with its heading."""

    title: str
    note: str
    picture: Node
    style: ArmStyle | None = None


def arm_styles(report: Report) -> dict[str, ArmStyle]:
    """The look of each arm, by title: warm for sequential, grey for joint, one hue each between."""
    styles, place = {}, 1
    for arm in report.arms:
        if arm is report.joint and len(report.arms) > 1:
            styles[arm.title] = REFERENCE_STYLE
        elif arm is report.sequential:
            styles[arm.title] = arm_style(0)
        else:
            styles[arm.title] = arm_style(place)
            place += 1
    return styles


def kept_panels(report: Report, styles: dict[str, ArmStyle]) -> list[Panel]:
    """Learned against kept, one panel per unit and arm."""
    panels = []
    for unit in UNITS:
        points = {arm.title: _kept_points(arm, unit) for arm in report.sequences}
        if not any(points.values()):
            continue
        drawn = [p for own in points.values() for p in own]
        span = score_range(unit, [v for p in drawn for m in (p.learned, p.kept) for v in _all(m)])
        for place, arm in enumerate(report.sequences):
            others = [
                (point.learned.value, point.kept.value)
                for title, own in points.items()
                if title != arm.title
                for point in own
            ]
            picture = KeptPicture(
                identifier=f"kept-{unit}-{place}",
                label=arm.title,
                style=styles[arm.title],
                unit=unit,
                points=points[arm.title],
                others=others,
                range=span,
            )
            note = "" if unit == "accuracy" else "log-likelihood per token, in nats"
            panels.append(Panel(arm.title, note, draw_kept(picture), styles[arm.title]))
    return panels


def curve_panels(report: Report, styles: dict[str, ArmStyle]) -> list[Panel]:
    """The course of each task over the stages, all arms in one panel."""
    panels = []
    longest = max(report.sequences, key=lambda arm: len(arm.run.stages))
    for place, task in enumerate(report.tasks):
        values = [
            value
            for arm in report.arms
            for same in arm.run.tasks
            if same.unit == task.unit
            for row in range(len(arm.run.stages))
            for point in [_measured(arm, row, same.name)]
            if point is not None
            for value in _all(point)
        ]
        reference = None
        if report.joint is not None and report.joint not in report.sequences:
            final = report.joint.outcome(task.name).summary.final.value
            reference = None if final is None else (final, styles[report.joint.title])
        picture = CurvePicture(
            identifier=f"curve-{place}",
            task=task.name,
            unit=task.unit,
            stages=[stage.title for stage in longest.run.stages],
            trained_in=task.trained_in,
            curves=[
                Curve(
                    arm.title,
                    styles[arm.title],
                    [_measured(arm, row, task.name) for row in range(len(arm.run.stages))],
                )
                for arm in report.sequences
            ],
            reference=reference,
            range=score_range(task.unit, values),
        )
        nats = "log-likelihood per token, in nats"
        note = task.description if task.unit == "accuracy" else f"{nats}. {task.description}"
        panels.append(Panel(task.name, note, draw_curves(picture)))
    return panels


def _kept_points(arm: Arm, unit: Unit) -> list[KeptPoint]:
    points = []
    for outcome in arm.outcomes:
        if outcome.task.unit != unit:
            continue
        trained = outcome.task.trained_in
        start = _measured(arm, trained or 0, outcome.task.name)
        end = _measured(arm, arm.run.matrix.last, outcome.task.name)
        if start is not None and end is not None:
            points.append(KeptPoint(outcome.task.name, start, end, trained is not None))
    return points


def _measured(arm: Arm, row: int, task: str) -> Measured | None:
    value, limits = arm.scores.get((row, task)), arm.intervals.get((row, task))
    if value is None:
        return None
    return Measured(value) if limits is None else Measured(value, limits.low, limits.high)


def _all(point: Measured) -> list[float]:
    return [v for v in (point.value, point.low, point.high) if v is not None]
