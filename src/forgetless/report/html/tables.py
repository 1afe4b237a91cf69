"""The tables of the page: what became of each task, and the figures."""

from __future__ import annotations

from dataclasses import dataclass

from forgetless.metrics import Figure
from forgetless.report.analysis import Arm, Report
from forgetless.report.charts.marks import ArmStyle
from forgetless.report.figures import FIGURES, FigureKind
from forgetless.report.outcome import TaskOutcome
from forgetless.report.phrases import judgement
from forgetless.report.wording import ABSENT, interval, number


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure as it is written.

    Attributes:
        text: The number, or a dash.
        between: Its interval, or nothing.
        reason: Why the number or the interval is absent.
    """

    text: str
    between: str
    reason: str


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """What became of one task in one arm; ``reason`` says why nothing could be seen of it."""

    title: str
    style: ArmStyle
    before: Shown
    learned: Shown
    final: Shown
    forgetting: Shown
    lost: str
    gained: str
    chance: str
    judgement: str
    reason: str
    class_: str


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One figure in every arm."""

    kind: FigureKind
    values: tuple[Shown, ...]


def shown(figure: Figure, *, signed: bool = False) -> Shown:
    """Write a figure."""
    if figure.value is None:
        return Shown(ABSENT, "", figure.reason or "")
    between = ""
    if figure.interval is not None:
        between = interval(figure.interval.low, figure.interval.high, signed=signed)
    return Shown(number(figure.value, signed=signed), between, figure.reason or "")


def outcome_tables(
    report: Report, styles: dict[str, ArmStyle]
) -> list[tuple[str, list[OutcomeRow]]]:
    """Per task, one row for each arm."""
    return [
        (task.name, [_outcome_row(arm, arm.outcome(task.name), styles) for arm in report.arms])
        for task in report.tasks
    ]


def figure_rows(report: Report) -> list[FigureRow]:
    """The figures that exist for some arm, and those that never do with the reason."""
    return [
        FigureRow(kind, tuple(shown(kind.of(arm), signed=kind.signed) for arm in report.arms))
        for kind in FIGURES
    ]


def _outcome_row(arm: Arm, outcome: TaskOutcome, styles: dict[str, ArmStyle]) -> OutcomeRow:
    tested = outcome.task.trained_in is None
    dash = Shown(ABSENT, "", "")
    judged = outcome.judged
    flips = judged.flips if judged else None
    p_value = judged.p_adjusted if judged else None
    return OutcomeRow(
        title=arm.title,
        style=styles[arm.title],
        before=_bare(outcome.summary.base if tested else outcome.before),
        learned=dash if tested else _bare(outcome.summary.learned),
        final=_bare(outcome.summary.final),
        forgetting=shown(outcome.summary.forgetting, signed=True),
        lost=ABSENT if flips is None else str(len(flips.lost)),
        gained=ABSENT if flips is None else str(len(flips.gained)),
        chance=ABSENT if p_value is None else chance(p_value),
        judgement=judgement(outcome, last=arm.run.matrix.last),
        reason=judged.reason if judged and outcome.fate == "at floor" else "",
        class_={"lost": "lost", "improved": "gained"}.get(outcome.fate, "same"),
    )


def chance(p: float) -> str:
    """A p-value, no finer than it can be meant.

    Example:
        >>> chance(1e-9), chance(0.034), chance(1.0)
        ('< 0.001', '0.03', '1.00')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.01 else f"{p:.2f}"


def _bare(figure: Figure) -> Shown:
    """A score whose interval the matrix shows already."""
    return Shown(ABSENT if figure.value is None else number(figure.value), "", "")
