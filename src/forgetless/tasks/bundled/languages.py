"""The same simple facts and sums in seven languages, each question with its choices in one of them.

A fact asked in several languages is one group: whoever does not know it does not know it seven
times.  Words and sentences are in ``vocabulary.py``.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from forgetless.tasks.bundled.choices import PLACES, Question, laid_out
from forgetless.tasks.bundled.vocabulary import LANGUAGES, Vocabulary
from forgetless.tasks.row import Row

VERSION = "1"


@dataclass(frozen=True)
class Fact:
    """One thing that is asked in every language.

    Attributes:
        kind: ``lives`` (stands in the question), ``counting``, ``days`` and ``months`` (a list goes
            on), ``opposite``, ``day`` and ``month`` (some time after another), ``capital``,
            ``sum``, ``difference`` or ``product``.
        given: What is given, as places in the vocabulary or as numbers.
    """

    kind: str
    given: tuple[int, ...]

    @property
    def name(self) -> str:
        """Its group."""
        return f"{self.kind} {' '.join(map(str, self.given))}"


FACTS: dict[int, tuple[Fact, ...]] = {
    1: (
        *(Fact("lives", pair) for pair in ((0, 1), (3, 0), (6, 8), (2, 7), (4, 5))),
        *(Fact("counting", (place,)) for place in (0, 1, 3, 5)),
        *(Fact("days", (place,)) for place in (0, 2)),
        Fact("months", (0,)),
    ),
    2: (
        *(Fact("opposite", (place,)) for place in range(5)),
        *(Fact("day", (place, 1)) for place in (0, 3)),
        *(Fact("month", (place, 1)) for place in (0, 8)),
        *(Fact("capital", (place,)) for place in (0, 1, 3)),
    ),
    3: (
        *(Fact("capital", (place,)) for place in (2, 4, 5, 6, 9, 11)),
        *(Fact("sum", pair) for pair in ((2, 3), (4, 4), (5, 2))),
        *(Fact("difference", pair) for pair in ((17, 9), (20, 6), (15, 11))),
    ),
    4: (
        *(Fact("capital", (place,)) for place in (13, 14, 15)),
        *(Fact("product", pair) for pair in ((2, 9), (3, 5), (4, 4))),
        *(Fact("day", (place, days)) for place, days in ((6, 10), (1, 18), (4, 25))),
        *(Fact("month", (place, months)) for place, months in ((3, 19), (7, 16), (10, 27))),
    ),
}
"""Facts of each level; a number that is an answer is at most twenty, so that it is one word."""


LISTS = {"counting": "numbers", "days": "days", "months": "months"}


def items() -> list[Row]:
    """All questions: in each round every fact once, each time in another language."""
    rng = random.Random(f"languages/{VERSION}")  # noqa: S311
    names = list(LANGUAGES)
    levels = {}
    for level, facts in FACTS.items():
        shuffled = rng.sample(facts, len(facts))
        levels[level] = [
            _question(fact, LANGUAGES[names[(place + turn) % len(names)]], rng)
            for turn in range(len(names))
            for place, fact in enumerate(shuffled)
        ]
    return laid_out(levels, rng)


def _question(fact: Fact, words: Vocabulary, rng: random.Random) -> Question:
    prompt, answer, pool = _asked(fact, words)
    others = [word for word in pool if word != answer]
    return Question(prompt, answer, tuple(rng.sample(others, PLACES - 1)), fact.name)


def _asked(fact: Fact, words: Vocabulary) -> tuple[str, str, Sequence[str]]:
    """The prompt, the answer, and what the wrong choices are drawn from."""
    first, *rest = fact.given
    if fact.kind == "lives":
        cities = [city for _, city in words.capitals]
        told = f"Anna {words.lives} {cities[first]}. Bruno {words.lives} {cities[rest[0]]}. "
        return f"{told}Anna {words.lives}", cities[first], cities
    if fact.kind in LISTS:
        names = getattr(words, LISTS[fact.kind])
        return ", ".join(names[first : first + 4]) + ",", names[first + 4], names
    if fact.kind == "opposite":
        word, opposite = words.opposites[first]
        pool = [w for pair in words.opposites for w in pair if w not in (word, opposite)]
        return words.opposite.format(word), opposite, pool
    if fact.kind == "capital":
        country, city = words.capitals[first]
        return words.capital.format(country), city, [other for _, other in words.capitals]
    if fact.kind in ("day", "month"):
        names = words.days if fact.kind == "day" else words.months
        (step,) = rest
        answer = names[(first + step) % len(names)]
        pool = [name for name in names if name != names[first] or name == answer]
        return words.after(fact.kind, names[first], step), answer, pool
    (second,) = rest
    result = {"sum": first + second, "difference": first - second, "product": first * second}
    number = result[fact.kind]
    sign = {"sum": words.plus, "difference": words.minus, "product": words.times}[fact.kind]
    near = range(max(1, number - 3), min(20, number + 3) + 1)
    return (
        f"{words.numbers[first]} {sign} {words.numbers[second]} {words.equals}".capitalize(),
        words.numbers[number],
        [words.numbers[other] for other in near],
    )
