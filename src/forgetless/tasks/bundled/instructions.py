"""Instruction following: an everyday topic with one to three constraints that a program checks.

Each constraint takes up places (the opening, the layout, the case, ...); those that share a place
are never put together, so every item can be satisfied.

Source: the kind of task is IFEval's (Zhou et al. 2023, arXiv 2311.07911); own topics, constraints
and wordings.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from forgetless.tasks.row import Row, Turn
from forgetless.tasks.rules import Rule
from forgetless.tasks.text_rules import (
    Alphabet,
    BulletCount,
    EndsWith,
    EndsWithQuestion,
    Excludes,
    Includes,
    InScript,
    KeywordCount,
    LetterCount,
    LowerCase,
    NoCommas,
    NumberedCount,
    ParagraphCount,
    PlaceholderCount,
    Postscript,
    Quoted,
    RepeatsFirst,
    SentenceCount,
    SingleLine,
    StartsWith,
    Title,
    TwoAnswers,
    UpperCase,
    WordCount,
)

VERSION = "1"
COUNT = 360
LEVELS = 3  # number of constraints

ASKING = (
    "Write a short text about {}.",
    "Tell me briefly about {}.",
    "Describe {} in a few words.",
    "Write a short note to a friend about {}.",
)
TOPICS = (
    *("a rainy afternoon", "baking bread", "riding a bicycle", "a lost umbrella", "morning coffee"),
    *(
        "planting tomatoes",
        "a crowded bus",
        "moving house",
        "learning to swim",
        "a noisy neighbour",
    ),
    *("a walk in snow", "growing old", "a birthday cake", "cleaning windows", "a broken lamp"),
    *("feeding ducks", "waiting for a train", "a new job", "old photographs", "cooking rice"),
    *("a camping trip", "reading at night", "a school play", "fixing a tap", "saving money"),
    *("a garden party", "a stray cat", "washing dishes", "a football match", "choosing a gift"),
    *("painting a wall", "a long flight", "herbal tea", "a power cut", "singing in a choir"),
    *("a bad haircut", "picking apples", "a village market", "losing a key", "a summer storm"),
    *("sharing a flat", "a dentist visit", "writing letters", "a wooden boat", "climbing stairs"),
    *("a picnic lunch", "an early alarm", "a slow computer", "making soup", "a quiet library"),
    *("sewing a button", "a mountain hut", "a school bus", "walking a dog", "an empty fridge"),
    *("a kite on a beach", "a wedding speech", "a chess game", "dancing at home", "a full moon"),
)
PAIRS = (
    *(("window", "river"), ("paper", "stone"), ("orange", "clock"), ("pocket", "silver")),
    *(("forest", "chair"), ("music", "bottle"), ("bridge", "yellow"), ("mirror", "salt")),
)
FORBIDDEN = (
    *(("very", "really"), ("good", "great"), ("the",), ("and",), ("is", "are"), ("it",)),
    *(("because", "so"), ("but", "however"), ("always", "never"), ("can", "could")),
)
KEYWORDS = ("happy", "small", "street", "warm", "simple", "morning", "together", "green")
OPENINGS = (
    *("Once upon a time", "To my surprise", "Let me tell you", "Years ago", "Here we go"),
    *("My first thought was", "Believe me", "Few people know"),
)
ENDINGS = (
    *("that was all", "see you soon", "we will try again", "no more for today"),
    *("thank you for reading", "we laughed for hours", "nobody knows why", "until next time"),
)
LANGUAGES: tuple[tuple[Alphabet, str], ...] = (
    *(("Cyrillic", "Russian"), ("Greek", "Greek"), ("Arabic", "Arabic"), ("Chinese", "Chinese")),
    *(("Japanese", "Japanese"), ("Korean", "Korean"), ("Devanagari", "Hindi")),
)
RARE_LETTERS = ("z", "q", "x", "j", "k", "v")


@dataclass(frozen=True)
class Family:
    """One kind of constraint.

    Attributes:
        name: Stands in the ids of its items.
        places: What it takes up; families that share a place are not put together.
        draw: Makes a rule; the text is what the rule may want repeated.
    """

    name: str
    places: frozenset[str]
    draw: Callable[[random.Random, str], Rule]


def _family(name: str, places: str, draw: Callable[[random.Random, str], Rule]) -> Family:
    return Family(name, frozenset(places.split()), draw)


def _exact_words(rng: random.Random, _: str) -> Rule:
    count = rng.randrange(12, 31)
    return WordCount(count, count)


def _exact_sentences(rng: random.Random, _: str) -> Rule:
    count = rng.randrange(1, 6)
    return SentenceCount(count, count)


def _exact_keyword(rng: random.Random, _: str) -> Rule:
    count = rng.randrange(1, 5)
    return KeywordCount(rng.choice(KEYWORDS), count, count)


def _letter(rng: random.Random, _: str) -> Rule:
    return LetterCount(rng.choice(RARE_LETTERS), rng.randrange(3, 7))


def _script(rng: random.Random, _: str) -> Rule:
    return InScript(*rng.choice(LANGUAGES))


_LATIN = "case script"  # wants or spoils Latin letters
_MOST = "opening layout length excluding script title"
FAMILIES = (
    _family("words_least", "length script", lambda r, _: WordCount(r.randrange(15, 41))),
    _family("lower_case", _LATIN, lambda *_: LowerCase()),
    _family("bullets", "layout", lambda r, _: BulletCount(r.randrange(2, 6))),
    _family("includes", "including script", lambda r, _: Includes(r.choice(PAIRS))),
    _family("no_commas", "commas", lambda *_: NoCommas()),
    _family("ends_with", "closing script", lambda r, _: EndsWith(r.choice(ENDINGS))),
    _family("words_most", "length script", lambda r, _: WordCount(1, r.randrange(20, 41))),
    _family("starts_with", "opening script", lambda r, _: StartsWith(r.choice(OPENINGS))),
    _family("excludes", "excluding script", lambda r, _: Excludes(r.choice(FORBIDDEN))),
    _family("single_line", "layout lines", lambda *_: SingleLine()),
    _family("title", "title", lambda *_: Title()),
    _family("sentences", "length layout", _exact_sentences),
    _family("upper_case", _LATIN, lambda *_: UpperCase()),
    _family("ends_with_question", "closing", lambda *_: EndsWithQuestion()),
    _family("keyword", "keyword script", _exact_keyword),
    _family("numbered", "layout", lambda r, _: NumberedCount(r.randrange(2, 6))),
    _family("quoted", "opening closing layout", lambda *_: Quoted()),
    _family("letter", "letter script", _letter),
    _family("words_exactly", "length layout script", _exact_words),
    _family("paragraphs", "layout", lambda r, _: ParagraphCount(r.randrange(2, 5))),
    _family("placeholders", "placeholders", lambda r, _: PlaceholderCount(r.randrange(1, 4))),
    _family("postscript", "closing layout", lambda *_: Postscript()),
    _family("two_answers", "opening closing layout title length", lambda *_: TwoAnswers()),
    _family("repeats", _MOST, lambda _, text: RepeatsFirst(text)),
    _family("script", "script case", _script),
)  # fmt: skip


def generate(count: int = COUNT) -> list[Row]:
    """Items of which any first part has the levels, and nearly the families, in equal shares.

    Args:
        count: How many; fewer are the first of more.
    """
    rng = random.Random(f"instructions/{VERSION}")  # noqa: S311
    rows: list[Row] = []
    asked: list[str] = []
    turns: list[Family] = []
    used: Counter[str] = Counter()
    for number in range(count):
        if not asked:
            asked = [form.format(topic) for topic in TOPICS for form in ASKING]
            rng.shuffle(asked)
        level = number % LEVELS + 1
        if level == 1:  # the three items of one round begin with the same family
            turns = turns or rng.sample(FAMILIES, len(FAMILIES))
            first = turns.pop()
        text, chosen = asked.pop(), _together(first, level, used, rng)
        used.update(family.name for family in chosen)
        rows.append(_item(number, level, chosen, text, rng))
    return rows


def _together(
    first: Family, count: int, used: Mapping[str, int], rng: random.Random
) -> list[Family]:
    """Families that go with the first and with each other, the least used ones so far."""
    chosen = [first]
    while len(chosen) < count:
        taken = frozenset[str]().union(*(family.places for family in chosen))
        free = [family for family in FAMILIES if not family.places & taken]
        chosen.append(min(rng.sample(free, len(free)), key=lambda family: used[family.name]))
    return chosen


def _item(number: int, level: int, chosen: Sequence[Family], text: str, rng: random.Random) -> Row:
    rules = tuple(family.draw(rng, text) for family in chosen)
    requests = " ".join(rule.request() for rule in rules)
    names = "+".join(family.name for family in chosen)
    return Row(
        f"level{level}/{number // LEVELS:03}/{names}",
        (Turn("user", f"{text} {requests}"),),
        requests,
        rules=rules,
    )
