"""The verdict: two sentences in plain words, computed from figures and their intervals.

The first says what became of the tasks under the least protection there is in the report; the
second what the other arms make of it or, if there is none, what else must be known.  Nothing is
claimed that an interval does not bear out, and no protection is ranked where nothing was forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetless.report.analysis import Arm, Report
from forgetless.report.outcome import MARGIN, TaskOutcome
from forgetless.report.phrases import (
    course,
    how_much,
    lesson,
    loss_in_brackets,
    told_before_and_after,
    told_of_doubt,
    value_of,
    who,
    why_not_told,
)
from forgetless.report.tone import Tone, failed_tasks, tasks_with_fate, tone_of
from forgetless.report.wording import listing, number, score


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the report comes to.

    Attributes:
        sentences: Exactly two.
        tone: What the first sentence says, in a word.
    """

    sentences: tuple[str, str]
    tone: Tone

    def __str__(self) -> str:
        return " ".join(self.sentences)


def reach_verdict(report: Report) -> Verdict:
    """Say in two sentences what was learned, kept and lost.

    Args:
        report: Everything computed from the runs.
    """
    lead = report.sequential or report.arms[0]
    tone = tone_of(lead)
    return Verdict((_first(lead, tone, report.level), _second(report, lead, tone)), tone)


def _first(arm: Arm, tone: Tone, level: float) -> str:
    subject = who(arm)
    if tone == "not learned":
        least = min(failed_tasks(arm), key=lambda outcome: value_of(outcome.gain))
        return f"Training taught nothing measurable: {lesson(least, level)}."
    if tone == "unknown":
        untold = sorted(arm.outcomes, key=lambda o: (o.fate != "at floor", o.fate == "absent"))
        reasons = [reason for reason in map(why_not_told, untold) if reason]
        return f"What was lost cannot be told: {reasons[0] if reasons else 'nothing was measured'}."
    if tone == "lost":
        worst, *rest = tasks_with_fate(arm, "lost")
        told = f"{subject} lost {how_much(worst)}: {course(worst, level)}"
        others = [loss_in_brackets(outcome) for outcome in rest]
        if others:
            told += f"; it also lost from {listing(others, most=3, noun='other tasks')}"
    elif tone == "inconclusive":
        told = told_of_doubt(tasks_with_fate(arm, "inconclusive")[0], subject, level)
    elif tone == "improved":
        best = max(
            tasks_with_fate(arm, "improved"),
            key=lambda o: (o.task.unit != "nats", -value_of(o.loss)),
        )
        told = f"{subject} forgot nothing measurable and improved on {best.task.name}: "
        told += course(best, level)
    else:
        nearest = tasks_with_fate(arm, "kept", "at ceiling")[0]
        told = f"{subject} forgot nothing measurable; the most on {nearest.task.name}: "
        told += course(nearest, level)
    return f"{told}{_unmeasured(arm)}."


def _unmeasured(arm: Arm) -> str:
    """Tasks that could have been lost but were not measured where it matters, or cannot show it."""
    lacking = [
        outcome.task.name
        for outcome in arm.outcomes
        if outcome.fate == "absent" and outcome.task.trained_in != arm.run.matrix.last
    ]
    low = [outcome.task.name for outcome in arm.outcomes if outcome.fate == "at floor"]
    told = f"; what became of {listing(lacking, most=3)} was not measured" if lacking else ""
    return told + (f"; {listing(low, most=3)} had too little to lose to show it" if low else "")


def _second(report: Report, lead: Arm, tone: Tone) -> str:
    others = [arm for arm in report.sequences if arm is not lead]
    failed = failed_tasks(lead)
    if not others:
        return _alone(report, lead, tone)
    if tone == "lost" or tone == "inconclusive":
        return _compared(report, lead, others, tasks_with_fate(lead, tone)[0].task.name, tone)
    harmed = [(arm, outcome) for arm in others for outcome in tasks_with_fate(arm, "lost")]
    if harmed:
        arm, outcome = max(harmed, key=lambda pair: value_of(pair[1].loss))
        return f"{who(arm)} did lose {how_much(outcome)}: {course(outcome, report.level)}."
    if tone == "not learned":
        return "So nothing could be forgotten either, and this comparison shows nothing."
    if tone == "unknown":
        return f"Nor can {listing([arm.title for arm in others])} be compared with it."
    if failed:
        return f"Mind that {_not_learned(failed)}, so this comparison shows nothing."
    plain = "plain training" if report.sequential else lead.title
    return (
        f"So this comparison shows nothing: where {plain} forgets nothing measurable, no "
        "protection can be seen to help; try tasks that differ more, more training or a higher "
        "learning rate."
    )


def _compared(report: Report, lead: Arm, others: Sequence[Arm], task: str, tone: Tone) -> str:
    """What the other arms make of the task that the lead arm lost most of."""
    measured = [arm for arm in others if arm.outcome(task).summary.final.value is not None]
    if not measured:
        reason = others[0].outcome(task).summary.final.reason
        return f"Whether {listing([arm.title for arm in others])} helps is not known: {reason}."
    best = max(measured, key=lambda arm: value_of(arm.outcome(task).summary.final))
    outcome, unit = best.outcome(task), best.outcome(task).task.unit
    end = value_of(outcome.summary.final)
    rest = [
        f"{arm.title} {number(value_of(arm.outcome(task).summary.final))}"
        for arm in measured
        if arm is not best
    ]
    aside = f" ({listing(rest, most=3)})" if rest else ""
    there = number(value_of(lead.outcome(task).summary.final))
    if report.sequential is None:
        return (
            f"With {best.title} it ended there at {score(end, unit)} against {there}{aside}, but "
            "without a plain sequential run beside them how much either protects is not known."
        )
    gain = best.against[task].final
    ended = f"With {best.title} it ended there at {score(end, unit)} against {there}{aside}"
    if gain.value is None:
        return f"{ended}, but how they compare is not known: {gain.reason}."
    if gain.interval is None or gain.interval.low <= 0:
        worse = gain.interval is not None and gain.interval.high < 0
        apart = "which is worse than no protection" if worse else "a difference within the noise"
        return f"{ended}, {apart}."
    kept = f"With {best.title} it still scored {score(end, unit)} there at the end{aside}"
    if outcome.fate == "lost":
        kept += f", itself a loss of {number(value_of(outcome.loss))}"
    elif tone == "inconclusive":
        kept += f" against {there}, more than the noise explains"
    others_lost = [
        loss_in_brackets(outcome)
        for outcome in tasks_with_fate(best, "lost")
        if outcome.task.name != task
    ]
    besides = f"; it, too, lost from {listing(others_lost, most=3)}" if others_lost else ""
    return f"{kept}{_price(best, lead, report.sequential)}{besides}."


def _price(best: Arm, lead: Arm, sequential: Arm) -> str:
    """What the protection cost in learning the newest task."""
    newest = max(
        (o for o in best.outcomes if o.task.trained_in is not None),
        key=lambda o: o.task.trained_in or 0,
    )
    name, unit = newest.task.name, newest.task.unit
    there = lead.outcome(name).summary.learned.value
    if newest.summary.learned.value is None or there is None or best is sequential:
        return ""
    pair = f"({number(newest.summary.learned.value)} against {number(there)})"
    if lead.outcome(name).learning == "not learned" and newest.learning == "not learned":
        return f", though neither run taught {name} {pair}"
    change = best.against[name].learned.interval
    if change is None:
        return f", with {name} learned to {pair}"
    if change.high < 0:
        return f", but {name} was learned less well {pair}"
    if change.low > 0:
        return f", and {name} was learned better {pair}"
    if change.low >= -MARGIN[unit]:
        return f", while {name} was learned as well {pair}"
    return f", with no measurable difference in learning {name} {pair}"


def _alone(report: Report, lead: Arm, tone: Tone) -> str:
    """What to know of a run that has no other sequence beside it."""
    failed = failed_tasks(lead)
    if tone == "not learned":
        return "So nothing could be forgotten either: mend the training before judging retention."
    if failed:
        return f"Mind that {_not_learned(failed)}."
    taught = [o for o in lead.outcomes if o.learning in {"learned", "known"}]
    names = listing(
        [f"{o.task.name} ({number(value_of(o.summary.learned))})" for o in taught], most=3
    )
    if tone == "unknown":
        return f"What was learned so far: {names}." if names else "Nor what was learned."
    trained = any(outcome.learning != "only tested" for outcome in lead.outcomes)
    nothing = "What was learned could not be measured" if trained else "Nothing was trained"
    learned = f"It learned {names}" if names else nothing
    if lead is report.joint:
        return f"{learned}; joint training sees all tasks at once: it is a bound, not a sequence."
    if report.joint and tone == "lost":
        worst = tasks_with_fate(lead, "lost")[0].task
        reached = report.joint.outcome(worst.name).summary.final.value
        if reached is not None:
            return (
                f"Trained on all tasks at once it ends at {score(reached, worst.unit)} there, so "
                "there is something to protect, but no protection stands beside it."
            )
    help_ = "what would help" if tone == "lost" else "whether any protection is needed"
    return f"{learned}; no other run stands beside this one, so it cannot say {help_}."


def _not_learned(failed: Sequence[TaskOutcome]) -> str:
    rest = f", nor was {listing([o.task.name for o in failed[1:]])}" if failed[1:] else ""
    first = f"{failed[0].task.name} was not measurably learned"
    return f"{first}: {told_before_and_after(failed[0])}{rest}"
