"""Real facts, one a row, asked in our own words.

A fact can be tested only where it was taught (an unseen brand name cannot be inferred), so the test
asks the trained facts in wordings that training did not use.  General knowledge is only tested.
"""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from forgetless.tasks.row import Row, Turn


@dataclass(frozen=True)
class Fact:
    """One fact: what ``subject`` is, in the sense of ``family`` (``capital``: its capital)."""

    family: str
    subject: str
    answer: str
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class Wordings:
    """How a family of facts is asked: in training, and otherwise in the test."""

    train: tuple[str, ...]
    test: tuple[str, ...]


WORDINGS = {
    "drug_brand": Wordings(
        (
            "Which drug is sold as {subject}?",
            "Give the generic name of {subject}.",
            "{subject} is a brand name. What is the drug called?",
        ),
        ("What is the active substance in {subject}?",),
    ),
    "court_citation": Wordings(
        (
            "How is the {subject} cited?",
            "Give the citation form of the {subject}.",
            "Abbreviate the {subject} as in a citation.",
        ),
        ("In a citation, how does one write the {subject}?",),
    ),
    "currency_code": Wordings(
        (
            "What is the currency code of {subject}?",
            "Give the three-letter code of the currency used in {subject}.",
            "Which ISO code does the money of {subject} have?",
        ),
        ("Prices in {subject} are quoted in which currency code?",),
    ),
}

CLOZES = {
    "capital": "The capital of {subject} is",
    "region": "Of the world's continents, {subject} belongs to",
    "element": "The chemical symbol of the element {subject} is",
    "antonym": 'The opposite of "{subject}" is',
}


@cache
def read_facts(name: str) -> tuple[Fact, ...]:
    """Read ``data/{name}.csv``: medical, legal, general or finance."""
    text = (files(__package__) / "data" / f"{name}.csv").read_text(encoding="utf-8")
    return tuple(
        Fact(
            row["family"],
            row["subject"],
            row["answer"],
            tuple(alias for alias in row["aliases"].split("|") if alias),
        )
        for row in csv.DictReader(text.splitlines())
    )


def taught(name: str) -> list[Row]:
    """Training rows: every fact in each of its training wordings."""
    facts = read_facts(name)
    return [
        _row(fact, WORDINGS[fact.family].train[(number + turn) % 3], f"{fact.subject}/{turn}")
        for turn in range(3)
        for number, fact in enumerate(facts)
    ]


def asked(name: str) -> list[Row]:
    """Test items: every taught fact in an unseen wording, as a choice among four."""
    facts = read_facts(name)
    rng = random.Random(f"facts/{name}")  # noqa: S311
    rows = [
        _row(fact, WORDINGS[fact.family].test[0], fact.subject, _choices(fact, facts, rng))
        for fact in facts
    ]
    rng.shuffle(rows)
    return rows


def general_knowledge() -> list[Row]:
    """Capitals, continents, element symbols and opposites as sentences to complete.

    The four families take turns, so that any first part of the list is balanced.
    """
    facts = read_facts("general")
    rng = random.Random("facts/general")  # noqa: S311
    by_family = {
        family: rng.sample(members, len(members))
        for family in CLOZES
        if (members := [fact for fact in facts if fact.family == family])
    }
    longest = max(map(len, by_family.values()))
    return [
        _row(
            members[turn],
            CLOZES[family],
            f"{family}/{members[turn].subject}",
            _choices(members[turn], tuple(members), rng),
        )
        for turn in range(longest)
        for family, members in by_family.items()
        if turn < len(members)
    ]


def _choices(fact: Fact, facts: tuple[Fact, ...], rng: random.Random) -> tuple[str, ...]:
    """The answer and three other answers of the same family, in random order."""
    right = {fact.answer, *fact.aliases}
    others = sorted({o.answer for o in facts if o.family == fact.family} - right)
    choices = [fact.answer, *rng.sample(others, 3)]
    rng.shuffle(choices)
    return tuple(choices)


def _row(fact: Fact, wording: str, identity: str, choices: tuple[str, ...] = ()) -> Row:
    prompt = (Turn("user", wording.format(subject=fact.subject)),)
    return Row(identity, prompt, fact.answer, fact.aliases, choices)
