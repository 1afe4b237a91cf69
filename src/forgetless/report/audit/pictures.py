"""The pictures of an audit's page: change against budget, and the matrix of several models."""

from __future__ import annotations

from collections.abc import Mapping

from forgetless.auditing.result import Audit, AuditTask, Comparison
from forgetless.metrics import Figure, TaskVerdict, Unit, Verdict
from forgetless.report.audit.phrases import tone, word
from forgetless.report.charts.axis import score_range
from forgetless.report.charts.budget import BudgetPicture, Changed, change_range, draw_budget
from forgetless.report.charts.colour import level
from forgetless.report.charts.marks import REFERENCE_STYLE, ArmStyle
from forgetless.report.html.heat import HeatCell, HeatGroup, HeatMap, HeatRow, certainty
from forgetless.report.html.pictures import UNITS, Panel
from forgetless.report.wording import ABSENT, count, number, score

_SHAPES: Mapping[Verdict, str] = {
    "lost": "diamond",
    "kept": "circle",
    "inconclusive": "circle",
    "at floor": "square",
    "at ceiling": "square",
    "failed": "diamond",
}
_HOLLOW: frozenset[Verdict] = frozenset({"inconclusive", "at floor", "at ceiling", "failed"})


def budget_panels(audit: Audit, styles: Mapping[str, ArmStyle]) -> list[Panel]:
    """Change against budget: one panel per unit and model after."""
    panels = []
    for unit in UNITS:
        rows = {
            comparison.after: [_changed(v) for v in comparison.verdicts if v.unit == unit]
            for comparison in audit.comparisons
        }
        everything = [row for own in rows.values() for row in own]
        if not everything:
            continue
        span = change_range(everything)
        for place, (label, own) in enumerate(rows.items()):
            picture = BudgetPicture(f"budget-{unit}-{place}", label, unit, own, span)
            note = "" if unit == "accuracy" else "log-likelihood per token, in nats"
            panels.append(Panel(label, note, draw_budget(picture), styles[label]))
    return panels


def _changed(verdict: TaskVerdict) -> Changed:
    limits = verdict.change.interval
    return Changed(
        task=verdict.task,
        word=word(verdict),
        change=verdict.change.value,
        low=None if limits is None else limits.low,
        high=None if limits is None else limits.high,
        budget=verdict.budget,
        class_=tone(verdict),
        shape=_SHAPES[verdict.verdict],
        hollow=verdict.verdict in _HOLLOW,
    )


def matrix_groups(audit: Audit) -> list[HeatGroup]:
    """Scores of every model on every task; nothing to add to the table with one model after."""
    if len(audit.afters) < 2:
        return []
    groups = []
    for unit in UNITS:
        tasks = [task for task in audit.tasks if task.unit == unit]
        if tasks:
            groups.append(_group(audit, unit, tasks))
    return groups


def _group(audit: Audit, unit: Unit, tasks: list[AuditTask]) -> HeatGroup:
    figures = [
        [_figure(audit, place, task.name) for task in tasks] for place in range(len(audit.subjects))
    ]
    found = [f.value for line in figures for f, _ in line if f is not None and f.value is not None]
    low, high = score_range(unit, found)
    rows = tuple(
        HeatRow(
            place,
            info.label,
            tuple(
                _cell(task, info.label, figure, detail, low, high)
                for task, (figure, detail) in zip(tasks, figures[place], strict=True)
            ),
        )
        for place, info in enumerate(audit.subjects)
    )
    ends = (number(low), number(high)) if unit == "nats" else ("0", "1")
    heat = HeatMap("Score", REFERENCE_STYLE, tuple(task.name for task in tasks), rows, ())
    absent = any("absent" in cell.class_ for row in rows for cell in row.cells)
    return HeatGroup(unit, *ends, (heat,), absent)


def _figure(audit: Audit, place: int, task: str) -> tuple[Figure | None, str]:
    """A model's score on a task, and what became of it; the model before stands at place 0."""
    comparison: Comparison = audit.comparisons[max(place - 1, 0)]
    verdict = next((v for v in comparison.verdicts if v.task == task), None)
    if verdict is None:
        return None, "not judged"
    answered = f"{count(verdict.items, 'item')} that both models answered"
    if place == 0:
        return verdict.before, answered
    return verdict.after, f"{answered}\n{word(verdict)}"


def _cell(
    task: AuditTask, label: str, figure: Figure | None, detail: str, low: float, high: float
) -> HeatCell:
    where = f"{task.name}, {label}"
    if figure is None or figure.value is None:
        reason = detail if figure is None else figure.reason
        return HeatCell(ABSENT, f"{where}\nnot measured: {reason}", "absent")
    share = (figure.value - low) / (high - low)
    lost = " own" if "\nlost" in detail else ""
    lines = [f"{where}: {score(figure.value, task.unit)}", *certainty(figure.interval), detail]
    return HeatCell(number(figure.value), "\n".join(lines), f"h{level(share)}{lost}")
