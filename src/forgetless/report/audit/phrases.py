"""What an audit comes to, in words: the same in every form in which it is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from forgetless.auditing.result import Audit, Comparison, GateStatus
from forgetless.metrics import TaskVerdict, Verdict
from forgetless.report.audit.changes import unanswered
from forgetless.report.wording import clipped, count, listing, number

TITLES: Mapping[GateStatus, str] = {
    "kept": "Budget kept",
    "broken": "Budget broken",
    "inconclusive": "Inconclusive",
    "failed": "Failed",
}
"""The gate in a word or two."""

NEXT: Mapping[GateStatus, str] = {
    "kept": "Nothing needs to be done.",
    "broken": "Read the lost items, then mend the model, or accept a larger loss with --budget.",
    "inconclusive": (
        "Nothing is certain yet: ask more items (easier ones where a task is at floor), or accept "
        "a larger --budget."
    ),
    "failed": "Nothing can be said: see why items have no answer, then run the same command again.",
}
"""What to do about it."""

Word = Verdict | Literal["gained"]
"""What is written for a verdict: of a task at floor whether it gained."""

MEANINGS: Mapping[Word, str] = {
    "lost": "The loss found is larger than the budget, and chance does not explain a loss.",
    "failed": "Too many items have no answer for anything to be said.",
    "inconclusive": "These items cannot decide between kept and lost; the reason says what would.",
    "kept": "The limits rule out a loss larger than the budget, or the score rose for certain.",
    "gained": "The model before had nothing to lose, and the one after is better for certain.",
    "at floor": (
        "The model before may have guessed, or was right too rarely for a loss to be seen: this "
        "task cannot show one."
    ),
    "at ceiling": (
        "Kept, but both models answer nearly everything right: a small loss of ability need not "
        "show on items this easy."
    ),
}
"""What each verdict means."""

ORDER: tuple[Word, ...] = (
    *("lost", "failed", "inconclusive", "kept"),
    *("gained", "at floor", "at ceiling"),
)
"""The order in which verdicts are counted out."""


def gate_line(audit: Audit) -> str:
    """The outcome in one line: the word, the exit code, and why.

    With several models after, the ones that decide are told first.

    Args:
        audit: What was found.
    """
    decisive = [found for found in audit.comparisons if found.gate == audit.gate]
    others = [found for found in audit.comparisons if found.gate != audit.gate]
    several = len(audit.comparisons) > 1
    told = [
        f"{f'{found.after}: ' if several else ''}{sentence(found.reason)}" for found in decisive
    ]
    rest = [f"{found.after}: {TITLES[found.gate].lower()}" for found in others]
    aside = f" ({'; '.join(rest)})" if rest else ""
    return f"{gate_title(audit)}: {' '.join(told)}{aside}"


def gate_title(audit: Audit) -> str:
    """The gate in a word or two, with the exit code of the command."""
    return f"{TITLES[audit.gate]} (exit code {audit.exit_code})"


def tally(comparison: Comparison) -> str:
    """How many tasks came to which verdict."""
    found = Counter(plain_word(verdict) for verdict in comparison.verdicts)
    parts = [f"{found[word]} {word}" for word in ORDER if found[word]]
    return f"{count(len(comparison.verdicts), 'task')}: {listing(parts)}."


def plain_word(verdict: TaskVerdict) -> Word:
    """The verdict; a task that had nothing to lose and gained for certain is no bad news."""
    return "gained" if verdict.rose_from_floor else verdict.verdict


def word(verdict: TaskVerdict) -> str:
    """The verdict, with what is missing where that is known.

    ``lost (format)``: answers no longer come in the form that was asked for.
    ``lost (knowledge)``: the right answer has become unlikely.
    """
    told = plain_word(verdict)
    return told if verdict.nature is None else f"{told} ({verdict.nature})"


def tone(verdict: TaskVerdict) -> str:
    """CSS class of a verdict; the word is always written beside it."""
    classes = {"lost": "lost", "failed": "lost", "kept": "gained", "gained": "gained"}
    return classes.get(plain_word(verdict), "same")


def points(share: float) -> str:
    """A share of the items in points, a hundredth each.

    Example:
        >>> points(0.05), points(0.01), points(0.025)
        ('5 points', '1 point', '2.5 points')
    """
    hundredths = round(share * 100, 6)
    return f"{hundredths:g} {'point' if hundredths == 1 else 'points'}"


def flips(verdict: TaskVerdict) -> tuple[str, str] | None:
    """Items lost and gained; ``None`` where scores are graded."""
    if verdict.flips is None:
        return None
    return f"{len(verdict.flips.lost):,}", f"{len(verdict.flips.gained):,}"


def itself(verdict: TaskVerdict) -> str:
    """Items lost and gained when nothing was lost; empty where that was not asked."""
    null = verdict.null
    if null is None:
        return ""
    lost, gained = (f"{count:,.1f}".removesuffix(".0") for count in (null.lost, null.gained))
    return f"{lost} and {gained} of {null.items:,} ({null.how})"


def moved(comparison: Comparison) -> str:
    """How far predictions moved on each task's prompts; empty where that was not measured."""
    told = [f"{drift.task} {drift.kl:.3g}" for drift in comparison.drift]
    if not told:
        return ""
    return f"predictions moved by, KL in nats per token: {', '.join(told)}"


def amount(value: float, verdict: TaskVerdict) -> str:
    """A loss in the unit of a task: points of accuracy, or nats."""
    return points(value) if verdict.unit == "accuracy" else f"{number(value)} nats"


def price(amount: float) -> str:
    """Money in the currency of the prices given, with two digits that count where it is little.

    Example:
        >>> price(12.345), price(0.01234), price(0.0)
        ('12.35', '0.012', '0.00')
    """
    return f"{amount:.2f}" if amount >= 0.1 or amount == 0 else f"{amount:.2g}"


def sentence(text: str) -> str:
    """A reason as a sentence of its own."""
    stripped = text.strip()
    if not stripped:
        return ""
    return stripped if stripped[-1] in ".!?" else f"{stripped}."


def why(verdict: TaskVerdict) -> str:
    """The reason for a verdict, with the number of items that would decide if it has none."""
    needed = verdict.items_needed
    told = sentence(verdict.reason)
    if needed is None or {str(needed), f"{needed:,}"} & set(told.split()):
        return told
    return f"{told} About {needed:,} items would decide."


def notes(audit: Audit) -> list[str]:
    """What to know of the models, the data and the answers before trusting the numbers."""
    asked = [*audit.subjects, *([] if audit.judge is None else [audit.judge])]
    found = [f"{info.label}: {note}" for info in asked for note in info.notes]
    found += [f"{task.name}: {text}" for task in audit.tasks for text in task.warnings]
    found += [
        f"{missing.task}: {count(missing.items, 'item')} without an answer from {missing.label} "
        f"({clipped(missing.reason, 120)})"
        for missing in unanswered(audit)
    ]
    return list(dict.fromkeys(found))
