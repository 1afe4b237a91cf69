"""The page of a comparison of methods."""

from __future__ import annotations

from forgetless.comparing.result import ArmResult, Comparison, PointTried
from forgetless.report.charts.marks import REFERENCE_STYLE, ArmStyle, arm_style
from forgetless.report.charts.svg import Node
from forgetless.report.charts.trade import TradePoint, draw_trade
from forgetless.report.comparison import cells, failures, heading, legend
from forgetless.report.data import JOINT, SEQUENTIAL
from forgetless.report.html.rendering import render_page
from forgetless.report.wording import ABSENT, number


def render_comparison_html(found: Comparison) -> str:
    """Render the page: the recommendation, the picture with its frontier, and every figure."""
    styles = _styles(found)
    values = {
        "found": found,
        "heading": heading(found),
        "reasons": [*found.reasons[1:], *failures(found)],
        "legend": legend(found),
        "picture": _picture(found, styles),
        "frontier": [arm.name for arm in found.frontier],
        "rows": [(styles[arm.name], arm, cells(found, arm)) for arm in found.arms],
        "tried": [(arm.name, _tried(arm)) for arm in found.arms if len(arm.tried) > 1],
        "seeds": [(arm.name, [*map(number, arm.by_seed.values())]) for arm in found.arms],
    }
    return render_page("comparison.html", values, styles=("comparison.css",))


def _styles(found: Comparison) -> dict[str, ArmStyle]:
    names = [SEQUENTIAL, *(arm.name for arm in found.arms if arm.name not in (SEQUENTIAL, JOINT))]
    return {JOINT: REFERENCE_STYLE} | {name: arm_style(at) for at, name in enumerate(names)}


def _picture(found: Comparison, styles: dict[str, ArmStyle]) -> Node | None:
    best = {arm.name for arm in found.frontier}
    points = [
        TradePoint(
            arm.name,
            styles[arm.name],
            arm.learned.value or 0.0,
            arm.forgetting.value or 0.0,
            on_frontier=arm.name in best,
            taken=arm.name == found.recommended,
        )
        for arm in found.traded
    ]
    joint = next((arm.accuracy.value for arm in found.arms if arm.name == JOINT), None)
    return draw_trade(points, joint) if points else None


def _tried(arm: ArmResult) -> list[tuple[str, str, bool]]:
    """Each point of the grid, what it came to on the items that choose, and if it was chosen."""
    return [
        (
            ", ".join([f"rate {point.rate:g}", *(f"{k} {v}" for k, v in point.options.items())]),
            _value(point),
            point.rate == arm.rate and dict(point.options) == dict(arm.options),
        )
        for point in arm.tried
    ]


def _value(point: PointTried) -> str:
    if point.value is None:
        return ABSENT
    return number(point.value) + (f", {number(point.over)} over budget" if point.over else "")
