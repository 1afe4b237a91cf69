"""The report as Markdown, short enough for a comment on a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from forgetless.metrics import Figure
from forgetless.report.analysis import Arm, Report
from forgetless.report.budget import budget_tables, choice_lines, headline
from forgetless.report.changes import CHANGED, Kind
from forgetless.report.data import ItemScore
from forgetless.report.figures import FIGURES
from forgetless.report.markup import code, folded, plain, table
from forgetless.report.outcome import TaskOutcome
from forgetless.report.phrases import judgement
from forgetless.report.verdict import Verdict
from forgetless.report.wording import ABSENT, count, interval, number

MOST_ITEMS = 10
"""Most changed items shown; the other forms of the report have all."""


def render_markdown(report: Report, verdict: Verdict) -> str:
    """Render the report.

    Args:
        report: Everything computed from the runs.
        verdict: Its two sentences.
    """
    parts = [
        f"### forgetless: {plain(', '.join(arm.run.name for arm in report.arms))}",
        f"**{plain(verdict.sentences[0])}** {plain(verdict.sentences[1])}",
        *_warnings(report),
        table(*_tasks(report)),
        "Right after learning → at the end; tasks only tested: untouched → at the end. "
        "**Bold**: more than chance explains, by tests adjusted for the number of tasks.",
        *_budgets(report),
        table(*_figures(report)),
        *(folded(f"Score matrix: {plain(arm.title)}", table(*_matrix(arm))) for arm in report.arms),
        *_items(report),
    ]
    return "\n\n".join(parts) + "\n"


def _warnings(report: Report) -> Iterator[str]:
    if report.warnings:
        yield "\n".join(["> [!WARNING]", *(f"> - {plain(text)}" for text in report.warnings)])


def _budgets(report: Report) -> Iterator[str]:
    for arm in report.arms:
        if arm.budget is not None:
            yield f"Retention budget of **{plain(arm.title)}**: {headline(arm.budget)}"
            for head, rows in budget_tables(arm.budget):
                yield table(head, [list(map(plain, row)) for row in rows])
            yield from map(plain, choice_lines(arm.budget))


def _tasks(report: Report) -> tuple[list[str], list[list[str]]]:
    head = ["Task", *(plain(arm.title) for arm in report.arms)]
    rows = [
        [plain(task.name), *(_course(arm, arm.outcome(task.name)) for arm in report.arms)]
        for task in report.tasks
    ]
    return head, rows


def _course(arm: Arm, outcome: TaskOutcome) -> str:
    """Where a task started and ended in one arm, and what that amounts to."""
    start, final = outcome.start.value, outcome.summary.final.value
    ends = ABSENT if final is None else number(final)
    if outcome.loss.value is None:
        return ends
    told = judgement(outcome, last=arm.run.matrix.last)
    if outcome.fate in ("lost", "improved") or outcome.doubt == "guessed":
        told = f"**{told}**"
    return f"{ABSENT if start is None else number(start)} → {ends} {told}"


def _figures(report: Report) -> tuple[list[str], list[list[str]]]:
    head = ["Figure", *(plain(arm.title) for arm in report.arms)]
    rows = [
        [kind.name, *(_figure(kind.of(arm), signed=kind.signed) for arm in report.arms)]
        for kind in FIGURES
        if any(kind.of(arm).value is not None for arm in report.arms)
    ]
    return head, rows


def _figure(figure: Figure, *, signed: bool) -> str:
    if figure.value is None:
        return ABSENT
    if figure.interval is None:
        return number(figure.value, signed=signed)
    ends = interval(figure.interval.low, figure.interval.high, signed=signed)
    return f"{number(figure.value, signed=signed)} ({ends})"


def _matrix(arm: Arm) -> tuple[list[str], list[list[str]]]:
    tasks = arm.run.tasks
    rows = []
    for stage in arm.run.stages:
        cells = []
        for task in tasks:
            value = arm.scores.get((stage.index, task.name))
            shown = ABSENT if value is None else number(value)
            cells.append(f"**{shown}**" if task.trained_in == stage.index else shown)
        rows.append([f"{stage.index} {plain(stage.title)}", *cells])
    forgetting = [_figure(arm.outcome(t.name).summary.forgetting, signed=True) for t in tasks]
    rows.append(["forgetting", *forgetting])
    return ["After stage", *(plain(task.name) for task in tasks)], rows


def _items(report: Report) -> Iterator[str]:
    if not report.changes:
        return
    titles = [arm.title for arm in report.arms]
    shown = [t for t in titles if any(a.title == t for c in report.changes for a in c.arms)]
    head = [
        "Task",
        "Question",
        "Right answer",
        *(f"{plain(title)}, at the end" for title in shown),
    ]
    rows = []
    for item in report.changes[:MOST_ITEMS]:
        told = {arm.title: f"{_kind(arm.kind)} {_said(arm.after)}" for arm in item.arms}
        rows.append(
            [
                plain(item.task),
                code(item.question or item.gold),
                code(item.gold),
                *(told.get(title, ABSENT) for title in shown),
            ]
        )
    more = len(report.changes) - MOST_ITEMS
    rest = f"\n\n{more:,} more are in the HTML report." if more > 0 else ""
    title = f"{count(len(report.changes), 'item')} lost or gained"
    yield folded(title, table(head, rows, numbers=False) + rest)


def _kind(kind: Kind) -> str:
    return f"**{kind}**" if kind in CHANGED else kind


def _said(item: ItemScore) -> str:
    if item.error is not None:
        return plain(item.error)
    return code(item.output or ("" if item.score is None else number(item.score)))
