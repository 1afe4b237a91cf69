"""The items that a model lost or gained, and those that some model did not answer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from forgetless.auditing.result import AnsweredItem, Audit
from forgetless.metrics import Cell
from forgetless.report.changes import (
    CHANGED,
    ArmChange,
    ChangedItem,
    SharedWords,
    furthest_falls,
    kind_of,
)
from forgetless.report.data import ItemScore

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Items of one task that one model could not be asked, for one reason.

    Attributes:
        task: Name of the task.
        label: The model.
        reason: Of the first of them; that of the others has at most other numbers in it.
        items: How many.
    """

    task: str
    label: str
    reason: str
    items: int


def changed_items(audit: Audit) -> list[ChangedItem]:
    """Every item that some model after lost or gained, with all its answers.

    Args:
        audit: What was found.

    Returns:
        By task, then the lost before the gained, then in the order of the audit.
    """
    words = shared_words(audit)
    found: list[ChangedItem] = []
    for task in audit.tasks:
        items = items_of(audit, task.name)
        falls = {after.label: _falls(audit, items, after.label) for after in audit.afters}
        own = []
        for item in items:
            arms = tuple(_changes(audit, item, falls))
            if any(arm.kind in CHANGED for arm in arms):
                question = words[task.name].without(item.prompt)
                own.append(
                    ChangedItem(item.task, item.item, question, item.gold, item.choices, arms)
                )
        own.sort(key=lambda entry: not any(arm.kind in ("lost", "fell") for arm in entry.arms))
        found += own
    return found


def lost_by(changes: Sequence[ChangedItem], label: str, task: str) -> list[ChangedItem]:
    """The items of one task that one model lost or whose scores fell furthest."""
    return [
        item
        for item in changes
        if item.task == task
        and any(arm.title == label and arm.kind in ("lost", "fell") for arm in item.arms)
    ]


def unanswered(audit: Audit) -> list[Unanswered]:
    """How many items of each task have no answer from a model, and why."""
    found: Counter[tuple[str, str, str]] = Counter()
    first: dict[tuple[str, str, str], str] = {}
    for item in audit.items:
        for label, reason in item.errors.items():
            alike = (item.task, label, _NUMBER.sub("0", reason))
            found[alike] += 1
            first.setdefault(alike, reason)
    return [
        Unanswered(task, label, first[task, label, kind], items)
        for (task, label, kind), items in found.items()
    ]


def shared_words(audit: Audit) -> dict[str, SharedWords]:
    """By task, what all its prompts begin and end with."""
    return {
        task.name: SharedWords.of([i.prompt for i in items_of(audit, task.name) if i.prompt])
        for task in audit.tasks
    }


def items_of(audit: Audit, task: str) -> list[AnsweredItem]:
    """The items of one task."""
    return [item for item in audit.items if item.task == task]


def _falls(audit: Audit, items: Sequence[AnsweredItem], label: str) -> frozenset[str]:
    return furthest_falls(_cell(items, audit.before.label), _cell(items, label))


def _cell(items: Sequence[AnsweredItem], label: str) -> Cell:
    return Cell({item.item: item.scores[label] for item in items if label in item.scores})


def _changes(
    audit: Audit, item: AnsweredItem, falls: Mapping[str, frozenset[str]]
) -> Iterator[ArmChange]:
    before = _answer(item, audit.before.label)
    for after in audit.afters:
        answer = _answer(item, after.label)
        yield ArmChange(after.label, kind_of(before, answer, falls[after.label]), before, answer)


def _answer(item: AnsweredItem, label: str) -> ItemScore:
    score = item.scores.get(label)
    error = item.errors.get(label)
    return ItemScore(
        task=item.task,
        item=item.item,
        prompt=item.prompt,
        gold=item.gold,
        choices=item.choices,
        output=item.outputs.get(label),
        answer=None,
        score=score,
        correct=None,
        readings={},
        error=error if error is not None or score is not None else "not asked",
    )
