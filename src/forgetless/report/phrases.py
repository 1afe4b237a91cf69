"""The phrases that verdicts are made of, each one true of the figures it is given."""

from __future__ import annotations

from forgetless.metrics import Figure
from forgetless.report.analysis import Arm
from forgetless.report.outcome import TaskOutcome
from forgetless.report.wording import count, interval, number, score

MOST = 0.5
"""Share of what was learned from which on a loss is called most of it."""

ALMOST_ALL = 0.9
"""Share of what was learned from which on a loss is called almost all of it."""


def who(arm: Arm) -> str:
    """The model as it was trained in an arm, the subject of a sentence."""
    if arm.run.is_joint:
        return "Trained on all tasks at once, the model"
    return "Trained plainly, the model" if arm.run.is_sequential else f"With {arm.title} the model"


def how_much(outcome: TaskOutcome) -> str:
    """The task, and how much of it went."""
    name, loss = outcome.task.name, value_of(outcome.loss)
    if outcome.task.trained_in is None:
        whole = value_of(outcome.start) if outcome.task.unit == "accuracy" else None
    else:
        whole = outcome.gain.value
    if whole is None or whole <= 0 or outcome.learning == "not learned":
        return f"part of {name}"
    if loss >= ALMOST_ALL * whole:
        return f"{name} almost entirely"
    return f"most of {name}" if loss >= MOST * whole else f"part of {name}"


def course(outcome: TaskOutcome, level: float) -> str:
    """Where a task started, where it ended, and the figure with its interval."""
    unit = outcome.task.unit
    start, end = value_of(outcome.start), value_of(outcome.summary.final)
    since = "before any training" if outcome.task.trained_in is None else "right after learning it"
    return f"{number(start)} {since}, {score(end, unit)} at the end ({_proof(outcome, level)})"


def _proof(outcome: TaskOutcome, level: float) -> str:
    """The figure behind a judgement: forgetting or, where that is another number, the loss."""
    forgetting = outcome.summary.forgetting
    same = forgetting.value is not None and abs(forgetting.value - value_of(outcome.loss)) < 1e-9
    figure, name = (forgetting, "forgetting") if same else (outcome.loss, "loss")
    proof = f"{name} {estimate_in_words(figure, level)}"
    if not same and forgetting.value is not None:
        proof += f"; {number(forgetting.value)} below its best"
    excluded = outcome.summary.excluded
    if excluded:
        asked = (outcome.summary.items or 0) + excluded
        proof += f"; {excluded} of {count(asked, 'item')} left out as not always scored"
    return proof


def lesson(outcome: TaskOutcome, level: float) -> str:
    """What the training of a task taught, with its interval and what that rests on."""
    items = outcome.summary.items
    rest_on = f", {count(items, 'item')}" if items else ""
    gain = estimate_in_words(outcome.gain, level)
    return f"{told_before_and_after(outcome)} (gain {gain}{rest_on})"


def told_before_and_after(outcome: TaskOutcome) -> str:
    """What a task scored before its stage and after."""
    unit = outcome.task.unit
    before, after = value_of(outcome.before), value_of(outcome.summary.learned)
    ends = f"{number(before)} before its stage and {score(after, unit)} after"
    return f"{outcome.task.name} scored {ends}"


def estimate_in_words(figure: Figure, level: float) -> str:
    """A figure with its interval."""
    if figure.interval is None:
        return f"{number(value_of(figure))}, interval not known"
    ends = interval(figure.interval.low, figure.interval.high)
    return f"{number(value_of(figure))}, {level:.0%} interval {ends}"


def why_not_told(outcome: TaskOutcome) -> str | None:
    """Why nothing can be said of a task's loss; ``None`` where something can."""
    if outcome.fate == "at floor" and outcome.judged:
        return f"{outcome.task.name}: {outcome.judged.reason}"
    if outcome.learning == "not learned":
        return f"of {outcome.task.name} nothing was learned that could be lost"
    return outcome.loss.reason


def why_unclear(outcome: TaskOutcome) -> str:
    """Why a task is inconclusive, in a few words."""
    judged = outcome.judged
    if outcome.doubt == "guessed":
        return "fell, but may have been guessed before"
    if outcome.doubt == "unanswered" and judged:
        return f"{count(judged.missing, 'item')} without an answer could hide a loss"
    if judged and judged.items_needed:
        return f"needs about {judged.items_needed:,} items"
    return "too few items to tell"


def judgement(outcome: TaskOutcome, *, last: int) -> str:
    """What became of a task, in a few words."""
    if outcome.learning == "not learned" and outcome.fate != "lost":
        return "not measurably learned"
    if outcome.fate == "inconclusive":
        return f"inconclusive: {why_unclear(outcome)}"
    if outcome.fate == "absent":
        return "learned last" if outcome.task.trained_in == last else "not measured"
    if outcome.judged and outcome.judged.nature == "format":
        return "lost, in form alone"
    return outcome.fate


def told_of_doubt(outcome: TaskOutcome, subject: str, level: float) -> str:
    """That a task shows no certain loss, and why none can be ruled out."""
    name, told = outcome.task.name, course(outcome, level)
    if outcome.doubt == "guessed":
        return (
            f"{subject} lost nothing for certain that it had known, but {name}, which may have "
            f"been guessed before, fell by more than chance explains: {told}"
        )
    if outcome.doubt == "unanswered" and outcome.judged:
        unanswered = count(outcome.judged.missing, "item")
        return (
            f"{subject} shows no loss, but {unanswered} of {name} without an answer could hide "
            f"one: {told}"
        )
    told = (
        f"{subject} shows no certain loss, but the test is too small to rule one out on {name}: "
        f"{told}"
    )
    if outcome.judged and outcome.judged.items_needed:
        told += f"; about {outcome.judged.items_needed:,} items would decide"
    return told


def loss_in_brackets(outcome: TaskOutcome) -> str:
    """A task and what was lost of it."""
    return f"{outcome.task.name} ({score(value_of(outcome.loss), outcome.task.unit)})"


def value_of(figure: Figure) -> float:
    """The value of a figure that exists."""
    assert figure.value is not None, "asked only of figures that exist"
    return figure.value
