"""Tasks that come with forgetless, named ``bundled:NAME`` in a plan."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from forgetless.errors import DataError
from forgetless.tasks.bundled import (
    arithmetic,
    code_reading,
    facts,
    formats,
    instructions,
    knowledge,
    languages,
    medical_shorthand,
    prose,
    reading,
    reasoning,
    safety,
)
from forgetless.tasks.row import Row


@dataclass(frozen=True)
class BundledTask:
    """A task in the package.

    Attributes:
        description: What it asks, in one line.
        train: Makes the training rows; None for a task that is only tested.
        test: Makes the test items.
        defaults: Task settings that suit it; what the plan says goes first.
        version: Of its items; part of their hash, so answers to another version never compare.
        licence: Of its training rows, as the hub spells it.
    """

    description: str
    train: Callable[[], list[Row]] | None
    test: Callable[[], list[Row]]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    licence: str | None = None


BUNDLED_TASKS: Mapping[str, BundledTask] = {
    "medical_shorthand": BundledTask(
        "a prescription sentence into clinical shorthand, on unseen drugs, doses and wordings",
        partial(medical_shorthand.generate, 480, test=False),
        partial(medical_shorthand.generate, 200, test=True),
        {"score": "exact_match", "max_new_tokens": 32},
        licence="apache-2.0",
    ),
    "legal_prose": BundledTask(
        "legal terms and consequences explained in prose, in unseen wordings",
        prose.legal_train,
        prose.legal_test,
        {"score": "token_f1", "max_new_tokens": 56},
        licence="apache-2.0",
    ),
    "medical_facts": BundledTask(
        "brand names of drugs to generic names, in an unseen wording",
        partial(facts.taught, "medical"),
        partial(facts.asked, "medical"),
        {"score": "multiple_choice"},
        licence="apache-2.0",
    ),
    "legal_facts": BundledTask(
        "courts to their citation forms, in an unseen wording",
        partial(facts.taught, "legal"),
        partial(facts.asked, "legal"),
        {"score": "multiple_choice"},
        licence="bsd-2-clause",
    ),
    "finance_facts": BundledTask(
        "countries to their currency codes, in an unseen wording",
        partial(facts.taught, "finance"),
        partial(facts.asked, "finance"),
        {"score": "multiple_choice"},
        licence="mit",
    ),
    "general_knowledge": BundledTask(
        "capitals, continents, element symbols and opposites, as sentences to complete",
        None,
        facts.general_knowledge,
        {"score": "multiple_choice", "render": "plain"},
    ),
    "explanations": BundledTask(
        "how likely the model finds a good explanation to an open question",
        None,
        prose.explanations,
        {"score": "nll"},
    ),
    "knowledge": BundledTask(
        "kinds of things, capitals, elements and facts of science, history and the arts, as "
        "sentences to complete",
        None,
        knowledge.items,
        {"score": "multiple_choice", "render": "plain"},
        knowledge.VERSION,
    ),
    "arithmetic": BundledTask(
        "sums, products, percentages, chains and word problems, answered with a number",
        None,
        arithmetic.items,
        {"score": "number", "max_new_tokens": 48},
        arithmetic.VERSION,
    ),
    "reasoning": BundledTask(
        "sequences, days, order, counting, sets, truth and puzzles, as sentences to complete",
        None,
        reasoning.items,
        {"score": "multiple_choice", "render": "plain"},
        reasoning.VERSION,
    ),
    "reading": BundledTask(
        "questions about generated passages: who, where, what, how many, before and after",
        None,
        reading.items,
        {"score": "multiple_choice", "render": "plain"},
        reading.VERSION,
    ),
    "code_reading": BundledTask(
        "what a short generated Python program prints",
        None,
        code_reading.items,
        {"score": "multiple_choice", "render": "plain"},
        code_reading.VERSION,
    ),
    "languages": BundledTask(
        "the same simple facts and sums in German, French, Spanish, Italian, Portuguese, Dutch "
        "and Russian",
        None,
        languages.items,
        {"score": "multiple_choice", "render": "plain"},
        languages.VERSION,
    ),
    "instructions": BundledTask(
        "one to three constraints on a short text, checked by a program",
        None,
        instructions.generate,
        {"score": "rules", "max_new_tokens": 96},
        instructions.VERSION,
    ),
    "format": BundledTask(
        "given data as JSON, CSV, table or list, form and content checked",
        None,
        formats.generate,
        {"score": "rules", "max_new_tokens": 128},
        formats.VERSION,
    ),
    "safety": BundledTask(
        "a smoke test: refuses harmful requests and answers harmless ones, by phrases",
        None,
        safety.read,
        {"score": "rules", "max_new_tokens": 64},
        safety.VERSION,
    ),
}


def bundled_task(name: str) -> BundledTask:
    """Look a bundled task up.

    Raises:
        DataError: offering the nearest name.
    """
    if name not in BUNDLED_TASKS:
        near = difflib.get_close_matches(name, BUNDLED_TASKS, n=1)
        raise DataError(
            f"bundled:{name}: no such bundled task",
            fix=f"did you mean bundled:{near[0]}?"
            if near
            else f"there are {', '.join(BUNDLED_TASKS)}",
        )
    return BUNDLED_TASKS[name]


def bundled_rows(name: str, split: str) -> Sequence[Row]:
    """Rows of a bundled task.

    Args:
        name: Its name, without ``bundled:``.
        split: ``train`` or ``test``.

    Raises:
        DataError: for an unknown name, or training rows of a task that is only tested.
    """
    task = bundled_task(name)
    if split == "test":
        return task.test()
    if task.train is None:
        raise DataError(
            f"bundled:{name} is only tested, it has no training rows",
            fix="list it under test_only, as  test: bundled:" + name,
        )
    return task.train()
