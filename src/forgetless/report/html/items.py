"""The changed items and the free answers as the page shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forgetless.report.analysis import Arm, Report
from forgetless.report.changes import CHANGED, ArmChange, ChangedItem, Kind
from forgetless.report.charts.marks import ArmStyle
from forgetless.report.data import ItemScore
from forgetless.report.wording import clipped, count, number

MOST_ITEMS = 2000
"""Most items shown in the page; report.json has all."""

MOST_SIGNS = 1200
"""Most signs of one answer shown; scores.jsonl has all."""

WORDS: dict[Kind, tuple[str, str]] = {
    "lost": ("lost", "lost"),
    "gained": ("gained", "gained"),
    "fell": ("fell", "lost"),
    "right": ("kept", "same"),
    "wrong": ("still wrong", "same"),
    "rose": ("did not fall", "same"),
    "unscored": ("not scored", "same"),
}
"""How a change is called, and its CSS class."""


@dataclass(frozen=True, slots=True)
class ItemChange:
    """One arm's answers to one item."""

    title: str
    style: ArmStyle
    word: str
    class_: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class ItemEntry:
    """One item of the list.

    Attributes:
        task: Its task.
        item: Its id.
        line: The question on one line.
        question: The question in full.
        gold: The right answer.
        choices: The possible answers.
        changes: One per arm.
        keys: For the filter: ``0-lost`` says that arm 0 lost it.
    """

    task: str
    item: str
    line: str
    question: str
    gold: str
    choices: tuple[str, ...]
    changes: tuple[ItemChange, ...]
    keys: str


@dataclass(frozen=True, slots=True)
class FreeQuestion:
    """One free question with the answers before and after, by heading."""

    question: str
    answers: tuple[tuple[str, ArmStyle | None, str], ...]


def item_entries(changes: Sequence[ChangedItem], styles: Mapping[str, ArmStyle]) -> list[ItemEntry]:
    """The first ``MOST_ITEMS`` changed items.

    Args:
        changes: All of them.
        styles: The look of each arm, by title, in the order of the legend.
    """
    places = {title: place for place, title in enumerate(styles)}
    return [_entry(item, styles, places) for item in changes[:MOST_ITEMS]]


def arms_shown(entries: Sequence[ItemEntry], styles: Mapping[str, ArmStyle]) -> list[str]:
    """Titles of the arms that have an answer in the list, in the order of the legend."""
    found = {change.title for entry in entries for change in entry.changes}
    return [title for title in styles if title in found]


def _entry(
    item: ChangedItem, styles: Mapping[str, ArmStyle], places: Mapping[str, int]
) -> ItemEntry:
    words = {arm.title: WORDS[arm.kind] for arm in item.arms}
    question = item.question or item.gold  # a plain text is its own question
    return ItemEntry(
        task=item.task,
        item=item.item,
        line=clipped(question, 220),
        question=question,
        gold=item.gold,
        choices=item.choices or (),
        changes=tuple(
            ItemChange(
                title=arm.title,
                style=styles[arm.title],
                word=_word(arm),
                class_=words[arm.title][1],
                before=_said(arm.before),
                after=_said(arm.after),
            )
            for arm in item.arms
        ),
        keys=" ".join(
            f"{places[arm.title]}-{words[arm.title][1]}" for arm in item.arms if arm.kind in CHANGED
        ),
    )


def _word(arm: ArmChange) -> str:
    word = WORDS[arm.kind][0]
    if arm.kind == "fell" and arm.before.score is not None and arm.after.score is not None:
        return f"{word} {number(arm.before.score - arm.after.score)}"
    return word


def _said(item: ItemScore) -> str:
    """What was answered, or the score where nothing is said, or why there is neither."""
    if item.error is not None:
        return f"not scored: {item.error}"
    if item.output is None:
        return "" if item.score is None else number(item.score)
    if len(item.output) <= MOST_SIGNS:
        return item.output
    return f"{item.output[:MOST_SIGNS]}… ({count(len(item.output) - MOST_SIGNS, 'more sign')})"


def free_questions(report: Report, styles: dict[str, ArmStyle]) -> list[FreeQuestion]:
    """Every free question: the untouched model's answer, then each arm's at the end."""
    asked = dict.fromkeys(
        answer.question for arm in report.arms for row in arm.run.answers for answer in row
    )
    found = []
    for question in asked:
        before = [text for arm in report.arms for text in _answers(arm, 0, question)]
        cards: list[tuple[str, ArmStyle | None, str]] = []
        if before:
            cards.append(("Untouched model", None, before[0]))
        for arm in report.arms:
            last = _last_answered(arm)
            if last > 0:
                cards += [
                    (_heading(arm, last, report.arms), styles[arm.title], text)
                    for text in _answers(arm, last, question)
                ]
        found.append(FreeQuestion(question, tuple(cards)))
    return found


def _heading(arm: Arm, row: int, arms: Sequence[Arm]) -> str:
    when = "at the end" if row == arm.run.matrix.last else f"after stage {row}"
    return f"{arm.title}, {when}" if len(arms) > 1 else when.capitalize()


def _last_answered(arm: Arm) -> int:
    return max((row for row, answers in enumerate(arm.run.answers) if answers), default=0)


def _answers(arm: Arm, row: int, question: str) -> list[str]:
    return [answer.answer for answer in arm.run.answers[row] if answer.question == question][:1]
