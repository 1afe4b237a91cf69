"""The score matrix as a heat map: one table per arm and unit."""

from __future__ import annotations

from dataclasses import dataclass

from forgetless.metrics import Interval, Unit
from forgetless.report.analysis import Arm, Report
from forgetless.report.charts.axis import score_range
from forgetless.report.charts.colour import level
from forgetless.report.charts.marks import ArmStyle
from forgetless.report.data import StageInfo, TaskInfo
from forgetless.report.outcome import TaskOutcome
from forgetless.report.phrases import why_unclear
from forgetless.report.wording import ABSENT, count, interval, number, score


@dataclass(frozen=True, slots=True)
class HeatCell:
    """One cell.

    Attributes:
        text: The number, or a dash.
        detail: Everything known of it, one fact a line.
        class_: Its shade, and whether the task was trained in its stage.
    """

    text: str
    detail: str
    class_: str


@dataclass(frozen=True, slots=True)
class HeatRow:
    """The scores after one stage."""

    index: int
    title: str
    cells: tuple[HeatCell, ...]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The matrix of one arm, with the forgetting of each task below."""

    title: str
    style: ArmStyle
    tasks: tuple[str, ...]
    rows: tuple[HeatRow, ...]
    forgetting: tuple[HeatCell, ...]


@dataclass(frozen=True, slots=True)
class HeatGroup:
    """The matrices of one unit, which share a scale.

    Attributes:
        unit: The unit.
        low: Score at the pale end of the scale.
        high: Score at the strong end.
        maps: One per arm.
        has_absent: Whether a cell was not measured.
    """

    unit: Unit
    low: str
    high: str
    maps: tuple[HeatMap, ...]
    has_absent: bool


def heat_groups(report: Report, styles: dict[str, ArmStyle]) -> list[HeatGroup]:
    """Lay out the matrices: accuracies first, then log-likelihoods on their own scale."""
    groups = []
    units: tuple[Unit, ...] = ("accuracy", "nats")
    for unit in units:
        tasks = [task for task in report.tasks if task.unit == unit]
        if not tasks:
            continue
        names = {task.name for task in tasks}
        found = [v for arm in report.arms for (_, name), v in arm.scores.items() if name in names]
        low, high = (0.0, 1.0) if unit == "accuracy" else scale_ends(found)
        maps = tuple(_heat_map(arm, unit, low, high, styles[arm.title]) for arm in report.arms)
        cells = [cell for heat in maps for row in heat.rows for cell in row.cells]
        groups.append(
            HeatGroup(
                unit,
                number(low) if unit == "nats" else "0",
                number(high) if unit == "nats" else "1",
                maps,
                any("absent" in cell.class_ for cell in cells),
            )
        )
    return groups


def scale_ends(found: list[float]) -> tuple[float, float]:
    """The pale and the strong end of a scale of log-likelihoods."""
    if not found or min(found) == max(found):
        return score_range("nats", found)
    return min(found), max(found)


def _heat_map(arm: Arm, unit: Unit, low: float, high: float, style: ArmStyle) -> HeatMap:
    tasks = [task for task in arm.run.tasks if task.unit == unit]

    def cell(stage: StageInfo, task: TaskInfo) -> HeatCell:
        own = " own" if task.trained_in == stage.index else ""
        where = f"{task.name} after stage {stage.index} ({stage.title})"
        value = arm.scores.get((stage.index, task.name))
        if value is None:
            reason = arm.run.matrix.missing.get((stage.index, task.name), "no item was scored")
            return HeatCell(ABSENT, f"{where}\nnot measured: {reason}", f"absent{own}")
        share = (value - low) / (high - low)
        lines = [f"{where}: {score(value, unit)}"]
        lines += certainty(arm.intervals.get((stage.index, task.name)))
        lines.append(_items(arm, stage.index, task.name))
        return HeatCell(number(value), "\n".join(lines), f"h{level(share)}{own}")

    return HeatMap(
        title=arm.title,
        style=style,
        tasks=tuple(task.name for task in tasks),
        rows=tuple(
            HeatRow(stage.index, stage.title, tuple(cell(stage, task) for task in tasks))
            for stage in arm.run.stages
        ),
        forgetting=tuple(
            _forgetting(outcome) for outcome in arm.outcomes if outcome.task.unit == unit
        ),
    )


def _forgetting(outcome: TaskOutcome) -> HeatCell:
    task, figure = outcome.task.name, outcome.summary.forgetting
    if figure.value is None:
        return HeatCell(ABSENT, f"{task}: {figure.reason}", "")
    lines = [f"forgetting of {task}: {number(figure.value)}", *certainty(figure.interval)]
    class_ = {"lost": "lost", "improved": "gained"}.get(outcome.fate, "")
    if outcome.fate == "inconclusive":
        lines.append(why_unclear(outcome))
    return HeatCell(number(figure.value, signed=True), "\n".join(lines), class_)


def certainty(limits: Interval | None) -> list[str]:
    """The interval as a line of a cell's detail; none where there is none."""
    if limits is None:
        return []
    return [f"{limits.level:.0%} interval {interval(limits.low, limits.high)}"]


def _items(arm: Arm, row: int, task: str) -> str:
    used = arm.run.matrix.item_count(task) or 0
    errors = len(arm.run.matrix.cell(row, task).errors)
    failed = f"; {count(errors, 'item')} could not be scored here" if errors else ""
    return f"{count(used, 'item')}{failed}"
