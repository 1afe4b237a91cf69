"""The figures that every form of the report lists: name, formula and meaning, in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from forgetless.metrics import Figure
from forgetless.report.analysis import Arm


@dataclass(frozen=True, slots=True)
class FigureKind:
    """One row of the table of figures.

    Attributes:
        key: Its name in report.json.
        name: Its name for a person.
        formula: R[i, j] is the score on task j after stage i, T the last stage, t(j) the stage in
            which task j was trained.
        meaning: What it says, in plain words and with its sign.
        of: Reads it off an arm.
        signed: Whether it is a difference, and written with its sign.
    """

    key: str
    name: str
    formula: str
    meaning: str
    of: Callable[[Arm], Figure]
    signed: bool = True


FIGURES = (
    FigureKind(
        "average_accuracy",
        "Average accuracy",
        "mean of R[T, j]",
        "How good the final model is at everything it was trained on. Higher is better.",
        lambda arm: arm.summary.average_accuracy,
        signed=False,
    ),
    FigureKind(
        "learning_accuracy",
        "Learning accuracy",
        "mean of R[t(j), j]",
        "How well each task was learned, before anything could overwrite it. Higher is better.",
        lambda arm: arm.summary.learning_accuracy,
        signed=False,
    ),
    FigureKind(
        "average_forgetting",
        "Forgetting",
        "mean of max R[l, j] over l < T, less R[T, j]",
        "How far older tasks fell below their best earlier score. Positive is lost.",
        lambda arm: arm.summary.average_forgetting,
    ),
    FigureKind(
        "backward_transfer",
        "Backward transfer",
        "mean of R[T, j] − R[t(j), j]",
        "What later stages did to tasks already learned. Negative is lost.",
        lambda arm: arm.summary.backward_transfer,
    ),
    FigureKind(
        "forward_transfer",
        "Forward transfer",
        "mean of R[t(j) − 1, j] − R[0, j]",
        "What earlier stages did for tasks yet to be learned. Positive helped.",
        lambda arm: arm.summary.forward_transfer,
    ),
    FigureKind(
        "average_retention_change",
        "Change outside the sequence",
        "mean of R[T, j] − R[0, j], only tested",
        "What the run did to knowledge that it never trained. Negative is lost.",
        lambda arm: arm.summary.average_retention_change,
    ),
    FigureKind(
        "average_intransigence",
        "Intransigence",
        "mean of joint R[t(j), j] − R[t(j), j]",
        "How much less was learned than by training on all tasks at once. Positive is held back.",
        lambda arm: arm.summary.average_intransigence,
    ),
    FigureKind(
        "gap_closed",
        "Gap closed",
        "(ACC − ACC sequential) / (ACC joint − ACC sequential)",
        "How far the arm goes from no protection (0) to joint training (1).",
        lambda arm: arm.gap_closed,
        signed=False,
    ),
)
