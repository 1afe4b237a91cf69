"""Reading: questions about generated passages; every answer stands in the passage or follows.

A passage is about some people, each with a job, a town, an age, something bought and its price.
Its sentences come in random order.  Five questions share a passage and so form a group.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from forgetless.tasks.bundled.choices import Question, laid_out, near
from forgetless.tasks.row import Row

VERSION = "1"
PASSAGES = 16  # of each level
QUESTIONS = 5  # about each passage

NAMES = (
    *("Alice", "Bruno", "Celia", "Derek", "Emily", "Felix", "Gloria", "Hugo", "Isabel", "Jacob"),
    *("Kevin", "Laura", "Martin", "Nora", "Oliver", "Petra", "Quentin", "Rosa", "Simon", "Tessa"),
)
JOBS = (
    *("baker", "teacher", "lawyer", "farmer", "nurse", "painter", "pilot", "plumber", "singer"),
    *("tailor", "writer", "dentist"),
)
TOWNS = (
    *("Ashford", "Brookfield", "Clayton", "Dunmore", "Eastwick", "Fairview", "Glenwood", "Hartley"),
    *("Kingsbury", "Lakeside", "Milford", "Northgate"),
)
THINGS = (
    *("lamp", "clock", "chair", "guitar", "kettle", "mirror", "camera", "carpet", "bicycle"),
    *("blanket", "suitcase", "telescope"),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


@dataclass(frozen=True)
class Person:
    """Someone in a passage; ``moved_to`` is empty for those who stay where they are."""

    name: str
    job: str
    town: str
    age: int
    thing: str
    price: int
    day: str
    moved_to: str = ""


def items() -> list[Row]:
    """All questions, passage by passage, the levels taking turns."""
    rng = random.Random(f"reading/{VERSION}")  # noqa: S311
    levels: dict[int, list[Question]] = {level: [] for level in KINDS}
    for number in range(1, PASSAGES + 1):
        for level, questions in levels.items():
            questions += _about_one_passage(level, f"level{level}/passage{number}", rng)
    rows = {level: laid_out({level: asked}, rng) for level, asked in levels.items()}
    return [
        row
        for start in range(0, PASSAGES * QUESTIONS, QUESTIONS)
        for level in rows
        for row in rows[level][start : start + QUESTIONS]
    ]


def _about_one_passage(level: int, group: str, rng: random.Random) -> list[Question]:
    people = _people(level + 1, movers=level - 2, rng=rng)
    passage = " ".join(_sentences(people, facts=2 + level, rng=rng))
    asked: dict[str, Question] = {}
    while len(asked) < QUESTIONS:
        kind = KINDS[level][len(asked) % len(KINDS[level])]
        question, answer, wrong = kind(people, rng)
        text = f"{passage}\n\nQuestion: {question}\nAnswer:"
        asked.setdefault(question, Question(text, answer, wrong, group))
    return list(asked.values())


def _people(count: int, *, movers: int, rng: random.Random) -> list[Person]:
    names, jobs, things = (rng.sample(pool, count) for pool in (NAMES, JOBS, THINGS))
    towns, days = rng.sample(TOWNS, count + max(movers, 0)), rng.sample(DAYS, count)
    ages, prices = rng.sample(range(21, 80), count), rng.sample(range(12, 99), count)
    return [
        Person(
            names[place],
            jobs[place],
            towns[place],
            ages[place],
            things[place],
            prices[place],
            days[place],
            towns[count + place] if place < movers else "",
        )
        for place in range(count)
    ]


def _sentences(people: Sequence[Person], facts: int, rng: random.Random) -> list[str]:
    """What the passage says, in random order; a move comes after the rest."""
    said = []
    for one in people:
        home = "lived" if one.moved_to else "lives"
        said += [
            rng.choice((f"{one.name} {home} in {one.town}.", f"{one.town} is {_where(one)}.")),
            rng.choice(
                (f"{one.name} works as a {one.job}.", f"The job of {one.name} is {one.job}.")
            ),
            f"On {one.day} {one.name} bought a {one.thing}.",
            rng.choice((f"{one.name} is {one.age} years old.", f"{one.name}'s age is {one.age}.")),
            f"The {one.thing} cost {one.price} dollars.",
        ][:facts]
    rng.shuffle(said)
    return said + [f"Later {one.name} moved to {one.moved_to}." for one in people if one.moved_to]


def _where(one: Person) -> str:
    return f"where {one.name} {'lived' if one.moved_to else 'lives'}"


Asked = tuple[str, str, tuple[str, ...]]


def _among(
    question: str, answer: str, present: Sequence[str], pool: Sequence[str], rng: random.Random
) -> Asked:
    """A question with wrong choices: first those that the passage names too."""
    named = [value for value in present if value != answer]
    unnamed = [value for value in pool if value not in present]
    wrong = rng.sample(named, min(3, len(named)))
    return question, answer, (*wrong, *rng.sample(unnamed, 3 - len(wrong)))


def _town(people: Sequence[Person], rng: random.Random) -> Asked:
    stays = [one for one in people if not one.moved_to]
    one = rng.choice(stays)
    return _among(f"Where does {one.name} live?", one.town, [p.town for p in people], TOWNS, rng)


def _job(people: Sequence[Person], rng: random.Random) -> Asked:
    one = rng.choice(people)
    return _among(f"What is the job of {one.name}?", one.job, [p.job for p in people], JOBS, rng)


def _bought(people: Sequence[Person], rng: random.Random) -> Asked:
    one = rng.choice(people)
    return _among(f"What did {one.name} buy?", one.thing, [p.thing for p in people], THINGS, rng)


def _day(people: Sequence[Person], rng: random.Random) -> Asked:
    one = rng.choice(people)
    return _among(
        f"On which day was the {one.thing} bought?", one.day, [p.day for p in people], DAYS, rng
    )


def _age(people: Sequence[Person], rng: random.Random) -> Asked:
    one = rng.choice(people)
    ages = [str(p.age) for p in people]
    return _among(
        f"How old is {one.name}?", str(one.age), ages, [str(n) for n in range(21, 80)], rng
    )


def _who(people: Sequence[Person], rng: random.Random) -> Asked:
    one = rng.choice(people)
    about = rng.choice((f"works as a {one.job}", f"bought the {one.thing}"))
    return _among(f"Who {about}?", one.name, [p.name for p in people], NAMES, rng)


def _paid(people: Sequence[Person], rng: random.Random) -> Asked:
    """Two steps: the thing, then its price."""
    one = rng.choice(people)
    prices = [str(p.price) for p in people]
    return _among(
        f"How many dollars did {one.name} pay?",
        str(one.price),
        prices,
        [str(n) for n in range(12, 99)],
        rng,
    )


def _job_of_buyer(people: Sequence[Person], rng: random.Random) -> Asked:
    one = rng.choice(people)
    return _among(
        f"What is the job of the person who bought the {one.thing}?",
        one.job,
        [p.job for p in people],
        JOBS,
        rng,
    )


def _town_of_worker(people: Sequence[Person], rng: random.Random) -> Asked:
    """Two steps, and the town where someone lives now."""
    one = rng.choice(people)
    towns = [town for p in people for town in (p.town, p.moved_to) if town]
    return _among(
        f"In which town does the {one.job} live now?", one.moved_to or one.town, towns, TOWNS, rng
    )


def _oldest(people: Sequence[Person], rng: random.Random) -> Asked:
    oldest = rng.random() < 0.5
    one = sorted(people, key=lambda p: p.age)[-1 if oldest else 0]
    return _among(
        f"Who is the {'oldest' if oldest else 'youngest'}?",
        one.name,
        [p.name for p in people],
        NAMES,
        rng,
    )


def _paid_by_two(people: Sequence[Person], rng: random.Random) -> Asked:
    a, b = rng.sample(list(people), 2)
    total = a.price + b.price
    question = f"How many dollars did {a.name} and {b.name} pay together?"
    return question, str(total), near(total, rng.choice((2, 5, 10)), rng)


def _older_by(people: Sequence[Person], rng: random.Random) -> Asked:
    b, a = sorted(rng.sample(list(people), 2), key=lambda p: p.age)
    years = a.age - b.age
    question = f"By how many years is the {a.job} older than the {b.job}?"
    return question, str(years), near(years, rng.choice((1, 2)), rng)


def _town_of_first_buyer(people: Sequence[Person], rng: random.Random) -> Asked:
    """Three steps: the earliest day, who it was, where that person lives now."""
    first = rng.random() < 0.5
    one = sorted(people, key=lambda p: DAYS.index(p.day))[0 if first else -1]
    towns = [town for p in people for town in (p.town, p.moved_to) if town]
    when = "earliest" if first else "latest"
    return _among(
        f"In which town does the person who bought something {when} in the week live now?",
        one.moved_to or one.town,
        towns,
        TOWNS,
        rng,
    )


def _price_of_oldest(people: Sequence[Person], rng: random.Random) -> Asked:
    oldest = rng.random() < 0.5
    one = sorted(people, key=lambda p: p.age)[-1 if oldest else 0]
    prices = [str(p.price) for p in people]
    age = "oldest" if oldest else "youngest"
    return _among(
        f"How many dollars did the {age} person pay?",
        str(one.price),
        prices,
        [str(n) for n in range(12, 99)],
        rng,
    )


KINDS = {
    1: (_town, _job, _bought),
    2: (_town, _day, _who, _age, _bought),
    3: (_paid, _job_of_buyer, _town_of_worker, _oldest, _who),
    4: (_paid_by_two, _older_by, _town_of_first_buyer, _price_of_oldest, _town_of_worker),
}
"""How is asked at each level; a level has one person more than its number."""
