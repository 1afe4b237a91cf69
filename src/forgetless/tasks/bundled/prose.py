"""Prose in our own words: legal explanations to learn, and open questions that are only tested."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from forgetless.tasks.row import Row, Turn

LEGAL_TRAIN_FORMS = {
    "term": (
        "Explain what {subject} means in law.",
        "In legal language, what is meant by {subject}?",
        "Tell me what {subject} is in legal terms.",
    ),
    "consequence": (
        "What are the consequences of {subject}?",
        "Explain what follows in law from {subject}.",
        "What may happen to someone after {subject}?",
    ),
}
LEGAL_TEST_FORMS = {
    "term": (
        "How would a lawyer explain {subject}?",
        "Describe {subject} as a legal idea.",
    ),
    "consequence": (
        "Describe the legal results of {subject}.",
        "How does the law respond to {subject}?",
    ),
}


def _read(name: str) -> list[dict[str, Any]]:
    text = (files(__package__) / "data" / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def legal_train() -> list[Row]:
    """Every explanation in three wordings; the first 141 rows hold each explanation once."""
    entries = _read("legal_prose")
    return [
        _legal(entry, LEGAL_TRAIN_FORMS, (number + turn) % 3, f"{entry['id']}/{turn}")
        for turn in range(3)
        for number, entry in enumerate(entries)
    ]


def legal_test() -> list[Row]:
    """Every explanation once, in a wording that training never uses, in a fixed mixed order."""
    entries = _read("legal_prose")
    random.Random("legal_prose/test").shuffle(entries)  # noqa: S311
    return [
        _legal(entry, LEGAL_TEST_FORMS, number % 2, entry["id"])
        for number, entry in enumerate(entries)
    ]


def _legal(
    entry: dict[str, Any], forms: Mapping[str, tuple[str, ...]], form: int, identity: str
) -> Row:
    question = forms[entry["kind"]][form].format(subject=entry["subject"])
    return Row(identity, (Turn("user", question),), entry["explanation"])


def explanations() -> list[Row]:
    """Open questions with a good explanation each, the eight fields taking turns."""
    entries = _read("explanations")
    fields = list(dict.fromkeys(entry["field"] for entry in entries))
    ranked = [
        (position, fields.index(field), entry)
        for field in fields
        for position, entry in enumerate(e for e in entries if e["field"] == field)
    ]
    return [
        Row(entry["id"], (Turn("user", entry["question"]),), entry["explanation"])
        for _, _, entry in sorted(ranked, key=lambda item: item[:2])
    ]
