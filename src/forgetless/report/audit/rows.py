"""The tables of an audit's page: each entry as it is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from forgetless.auditing.result import Audit, Comparison
from forgetless.metrics import TaskVerdict
from forgetless.metrics.lenient import LOWER_IS_BETTER
from forgetless.report.audit.phrases import amount, flips, itself, tone, why, word
from forgetless.report.charts.marks import ArmStyle
from forgetless.report.html.tables import Shown, chance, shown
from forgetless.report.wording import ABSENT, duration


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """What became of one task with one model after.

    Attributes:
        label: The model after.
        style: Its look.
        word: The verdict.
        class_: Its CSS class.
        why: The reason.
        before: Score before.
        after: Score after.
        change: After less before.
        lost: Items lost.
        gained: Items gained.
        items: Items that both answered.
        missing: Items that one of them did not.
        itself: Items that flip when nothing was lost.
        detectable: Smallest true loss that these items would show.
        needed: Items that would decide.
        guess: Score of guessing.
        p: p-value of no change.
        p_adjusted: The same, adjusted over the tasks.
    """

    label: str
    style: ArmStyle
    word: str
    class_: str
    why: str
    before: Shown
    after: Shown
    change: Shown
    lost: str
    gained: str
    items: str
    missing: str
    itself: str
    detectable: str
    needed: str
    guess: str
    p: str
    p_adjusted: str


@dataclass(frozen=True, slots=True)
class ReadingRow:
    """One other reading of a task's answers."""

    task: str
    label: str
    name: str
    lower_is_better: bool
    before: Shown
    after: Shown
    change: Shown
    nature: str


@dataclass(frozen=True, slots=True)
class TaskRows:
    """One task, with a row for each model after."""

    name: str
    area: str
    nats: bool
    rows: tuple[VerdictRow, ...]


def task_rows(audit: Audit, styles: Mapping[str, ArmStyle]) -> list[TaskRows]:
    """Per task, one row for each model after."""
    return [
        TaskRows(
            task.name,
            task.area,
            task.unit == "nats",
            tuple(
                _row(comparison, verdict, styles)
                for comparison in audit.comparisons
                for verdict in comparison.verdicts
                if verdict.task == task.name
            ),
        )
        for task in audit.tasks
    ]


def _row(
    comparison: Comparison, verdict: TaskVerdict, styles: Mapping[str, ArmStyle]
) -> VerdictRow:
    lost, gained = flips(verdict) or (ABSENT, ABSENT)
    return VerdictRow(
        label=comparison.after,
        style=styles[comparison.after],
        word=word(verdict),
        class_=tone(verdict),
        why=why(verdict),
        before=shown(verdict.before),
        after=shown(verdict.after),
        change=shown(verdict.change, signed=True),
        lost=lost,
        gained=gained,
        items=f"{verdict.items:,}",
        missing=f"{verdict.missing:,}" if verdict.missing else "none",
        itself=itself(verdict) or ABSENT,
        detectable=ABSENT if verdict.detectable is None else amount(verdict.detectable, verdict),
        needed=ABSENT if verdict.items_needed is None else f"{verdict.items_needed:,}",
        guess=ABSENT if verdict.chance is None else f"{verdict.chance:.2f}",
        p=ABSENT if verdict.p_value is None else chance(verdict.p_value),
        p_adjusted=ABSENT if verdict.p_adjusted is None else chance(verdict.p_adjusted),
    )


def reading_rows(audit: Audit) -> list[ReadingRow]:
    """Every other reading of every task."""
    return [
        ReadingRow(
            verdict.task,
            comparison.after,
            name,
            name in LOWER_IS_BETTER,
            shown(reading.before),
            shown(reading.after),
            shown(reading.change, signed=True),
            verdict.nature or "",
        )
        for comparison in audit.comparisons
        for verdict in comparison.verdicts
        for name, reading in verdict.readings.items()
    ]


def area_rows(audit: Audit) -> list[tuple[str, str, list[Shown]]]:
    """Area, its tasks, and the mean change with each model after."""
    names = dict.fromkeys(area.area for found in audit.comparisons for area in found.areas)
    rows = []
    for name in names:
        tasks: tuple[str, ...] = ()
        changes = []
        for comparison in audit.comparisons:
            area = next((a for a in comparison.areas if a.area == name), None)
            tasks = tasks or (() if area is None else area.tasks)
            changes.append(
                Shown(ABSENT, "", "") if area is None else shown(area.change, signed=True)
            )
        rows.append((name, ", ".join(tasks), changes))
    return rows


def cost_rows(audit: Audit) -> list[list[str]]:
    """Label, asked, from the store, time, CPU time, requests, tokens read and written."""
    return [
        [
            label,
            f"{cost.asked:,}",
            f"{cost.stored:,}",
            duration(cost.seconds),
            duration(cost.cpu_seconds),
            f"{cost.requests:,}" if cost.requests else ABSENT,
            f"{cost.input_tokens:,}" if cost.input_tokens else ABSENT,
            f"{cost.output_tokens:,}" if cost.output_tokens else ABSENT,
        ]
        for label, cost in audit.costs.items()
    ]


def facts(audit: Audit) -> Iterator[tuple[str, str]]:
    """What the audit is about, at a glance."""
    several = len(audit.afters) > 1
    yield "Model before", audit.before.name
    if several:
        yield "Models after", str(len(audit.afters))
    else:
        yield "Model after", audit.afters[0].name
    yield "Tasks", str(len(audit.tasks))
    yield "Items", f"{len(audit.items):,}"
    yield "Date", audit.created[:10]


def model_pairs(audit: Audit) -> list[tuple[str, list[tuple[str, str]]]]:
    """What identifies each model."""
    shown = [("Before" if info is audit.before else "After", info) for info in audit.subjects]
    if audit.judge is not None:
        shown.append(("Judge", audit.judge))
    return [
        (
            title if title.lower() == info.label else f"{title}: {info.label}",
            [
                ("name", info.name),
                ("kind", info.kind),
                *info.details.items(),
                ("identity", info.identity),
                *(("note", note) for note in info.notes),
            ],
        )
        for title, info in shown
    ]
