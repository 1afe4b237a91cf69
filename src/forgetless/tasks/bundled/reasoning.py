"""Reasoning with computed answers: sequences, days, order, counting, sets, truth and places."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from itertools import pairwise

from forgetless.tasks.bundled.choices import Question, distinct, laid_out, near
from forgetless.tasks.bundled.puzzles import race, truth
from forgetless.tasks.row import Row

VERSION = "1"
PER_LEVEL = 62

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
NAMES = (
    *("Anna", "Boris", "Clara", "David", "Elena", "Frank", "Grace", "Henry", "Irene", "James"),
    *("Karin", "Lucas", "Maria", "Nadia", "Oscar", "Paula", "Robin", "Sarah", "Tomas", "Vera"),
)
THINGS = {
    "animals": ("dog", "cow", "goat", "lion", "tiger", "rabbit", "camel", "wolf", "fox", "bear"),
    "fruits": ("apple", "pear", "plum", "grape", "cherry", "mango", "peach", "banana", "melon"),
    "tools": ("hammer", "saw", "drill", "wrench", "chisel", "pliers", "axe", "shovel", "rake"),
    "clothes": ("shirt", "skirt", "coat", "sock", "glove", "scarf", "jacket", "sweater", "hat"),
}
COMPASS = ("north", "east", "south", "west")

Draw = Callable[[random.Random], Question]


def _next_in_week(rng: random.Random) -> Question:
    names, word = (DAYS, "day") if rng.random() < 0.4 else (MONTHS, "month")
    place, step = rng.randrange(len(names)), rng.choice((-1, 1))
    side = "after" if step == 1 else "before"
    answer = names[(place + step) % len(names)]
    others = [name for name in names if name not in (answer, names[place])]
    return Question(
        f"The {word} that comes right {side} {names[place]} is", answer, _three(others, rng)
    )


def _days_on(low: int, high: int, rng: random.Random) -> Question:
    start, days = rng.randrange(7), rng.randint(low, high)
    if rng.random() < 0.5:
        prompt, place = f"Today is {DAYS[start]}. In {days} days it will be", start + days
    else:
        prompt, place = f"Today is {DAYS[start]}. {days} days ago it was", start - days
    return _of_days(prompt, place % 7, rng)


def _weekday(months: int, rng: random.Random) -> Question:
    """A weekday some months on; leap years are there and not said."""
    year = rng.randint(1990, 2030)
    first = date(year, rng.randint(1, 12 - months), rng.randint(1, 28))
    second = first + timedelta(days=rng.randint(30 * months - 25, 30 * months))
    prompt = (
        f"{first.day} {MONTHS[first.month - 1]} {year} is a {DAYS[first.weekday()]}. "
        f"{second.day} {MONTHS[second.month - 1]} {second.year} is a"
    )
    return _of_days(prompt, second.weekday(), rng)


def _of_days(prompt: str, place: int, rng: random.Random) -> Question:
    return Question(prompt, DAYS[place], _three([d for d in DAYS if d != DAYS[place]], rng))


def _steps(rng: random.Random) -> Question:
    start, step = rng.randint(1, 30), rng.randint(1, 5)
    return _sequence([start + step * n for n in range(6)], rng)


def _steps_down(rng: random.Random) -> Question:
    start, step = rng.randint(40, 99), rng.randint(2, 9)
    return _sequence([start - step * n for n in range(5)], rng)


def _powers(rng: random.Random) -> Question:
    start, factor = rng.randint(2, 9), rng.randint(2, 3)
    return _sequence([start * factor**n for n in range(5)], rng)


def _growing(rng: random.Random) -> Question:
    """Differences that grow by a constant."""
    value, step, growth = rng.randint(1, 20), rng.randint(2, 9), rng.randint(2, 7)
    numbers = [value + step * n + growth * n * (n - 1) // 2 for n in range(6)]
    return _sequence(numbers, rng)


def _two_in_turn(rng: random.Random) -> Question:
    """Two sequences, a term of each in turn."""
    a, b = rng.randint(1, 20), rng.randint(40, 70)
    up, down = rng.randint(2, 9), rng.randint(2, 9)
    numbers = [value for n in range(4) for value in (a + up * n, b - down * n)]
    return _sequence(numbers[: rng.choice((7, 8))], rng)


def _sequence(numbers: list[int], rng: random.Random) -> Question:
    shown = ", ".join(map(str, numbers[:-1]))
    answer = numbers[-1]
    return Question(f"The sequence goes on: {shown},", str(answer), near(answer, 1, rng))


def _largest(rng: random.Random) -> Question:
    numbers = rng.sample(range(2, 100), 4)
    largest = rng.random() < 0.5
    answer = max(numbers) if largest else min(numbers)
    return Question(
        f"Of the numbers {_listed(list(map(str, numbers)))}, "
        f"the {'largest' if largest else 'smallest'} is",
        str(answer),
        tuple(str(number) for number in numbers if number != answer),
    )


def _order(people: int, rng: random.Random, *, shuffled: bool, places: tuple[int, ...]) -> Question:
    """Neighbours compared; who stands in a place of the whole order?

    Args:
        people: How many.
        rng: Draws.
        shuffled: Comparisons in random order and in both directions.
        places: Places that may be asked for, from the front; negative from the back.
    """
    more, less, most, least = rng.choice(
        (
            ("taller", "shorter", "tallest", "shortest"),
            ("older", "younger", "oldest", "youngest"),
            ("faster", "slower", "fastest", "slowest"),
            ("richer", "poorer", "richest", "poorest"),
        )
    )
    order = rng.sample(NAMES, people)
    clues = [f"{a} is {more} than {b}." for a, b in pairwise(order)]
    if shuffled:
        clues = [
            clue if rng.random() < 0.5 else f"{b} is {less} than {a}."
            for clue, a, b in zip(clues, order, order[1:], strict=False)
        ]
        rng.shuffle(clues)
    place = rng.choice(places)
    rank = place + 1 if place >= 0 else -place
    nth = {1: "", 2: "second ", 3: "third ", 4: "fourth "}[rank]
    answer = order[place]
    return Question(
        f"{' '.join(clues)} The {nth}{most if place >= 0 else least} of them is",
        answer,
        _three([name for name in order if name != answer], rng),
    )


def _count_kind(size: int, rng: random.Random) -> Question:
    kind = rng.choice(list(THINGS))
    answer = rng.randint(2, min(size - 2, 6))
    others = [thing for other in THINGS if other != kind for thing in THINGS[other]]
    things = rng.sample(THINGS[kind], answer) + rng.sample(others, size - answer)
    rng.shuffle(things)
    return Question(
        f"Here is a list: {_listed(things)}. The number of {kind} in it is",
        str(answer),
        near(answer, 1, rng),
    )


def _count_numbers(size: int, rng: random.Random) -> Question:
    numbers = rng.sample(range(10, 100), size)
    limit, odd = rng.randint(35, 65), rng.random() < 0.5
    side, above = ("greater", True) if rng.random() < 0.5 else ("smaller", False)
    answer = sum(
        number % 2 == odd and number != limit and (number > limit) == above for number in numbers
    )
    return Question(
        f"Here are some numbers: {_listed(list(map(str, numbers)))}. How many of them are "
        f"{'odd' if odd else 'even'} and {side} than {limit}? Exactly",
        str(answer),
        near(answer, 1, rng),
    )


def _clubs(clubs: int, size: int, rng: random.Random) -> Question:
    """Members of clubs; one person alone is in some and not in the others."""
    labels = ("chess", "choir", "drama")[:clubs]
    inside = [True] + [rng.random() < 0.5 for _ in labels[1:]]
    while True:
        people = rng.sample(NAMES, 2 * size + 2)
        members = [rng.sample(people, size) for _ in labels]
        memberships = {p: [p in member for member in members] for p in people}
        fits = [person for person in people if memberships[person] == inside]
        others = [p for p in people if p not in fits and any(memberships[p])]
        if len(fits) == 1 and len(others) >= 3:
            break
    lists = " ".join(
        f"In the {label} club are {_listed(member)}."
        for label, member in zip(labels, members, strict=True)
    )
    conditions = " and ".join(
        f"{'in' if is_in else 'not in'} the {label} club"
        for label, is_in in zip(labels, inside, strict=True)
    )
    return Question(f"{lists} The only person who is {conditions} is", fits[0], _three(others, rng))


def _turns(turns: int, rng: random.Random) -> Question:
    facing = rng.randrange(4)
    steps = [rng.choice(("left", "right")) for _ in range(turns)]
    name = rng.choice(NAMES)
    final = (facing + sum(1 if step == "right" else -1 for step in steps)) % 4
    text = ", then ".join(f"turns {step}" for step in steps)
    return Question(
        f"{name} faces {COMPASS[facing]}, {text}. Now {name} faces",
        COMPASS[final],
        tuple(way for way in COMPASS if way != COMPASS[final]),
    )


def _three(others: list[str], rng: random.Random) -> tuple[str, ...]:
    return tuple(rng.sample(others, 3))


def _listed(things: list[str]) -> str:
    return f"{', '.join(things[:-1])} and {things[-1]}"


LEVELS: dict[int, tuple[Draw, ...]] = {
    1: (_next_in_week, _steps, _largest),
    2: (
        partial(_days_on, 2, 3),
        _steps_down,
        partial(_order, 4, shuffled=False, places=(0, -1)),
        partial(_count_kind, 5),
        partial(_clubs, 2, 3),
    ),
    3: (
        partial(_days_on, 4, 9),
        _powers,
        partial(_order, 4, shuffled=True, places=(0, -1)),
        partial(_count_kind, 8),
        partial(_turns, 2),
        partial(truth, 1),
    ),
    4: (
        partial(_days_on, 10, 40),
        _growing,
        partial(_order, 6, shuffled=True, places=(0, 1, -2, -1)),
        partial(_count_numbers, 7),
        partial(_clubs, 3, 5),
        partial(truth, 2),
        partial(race, 4),
    ),
    5: (
        partial(_weekday, 4),
        _two_in_turn,
        partial(_order, 9, shuffled=True, places=(2, 3, -4, -3)),
        partial(_count_numbers, 14),
        partial(_turns, 9),
        partial(truth, 3),
        partial(race, 6),
    ),
}


def items() -> list[Row]:
    """All questions; the kinds of a level take turns."""
    rng = random.Random(f"reasoning/{VERSION}")  # noqa: S311
    return laid_out({level: _drawn(kinds, rng) for level, kinds in LEVELS.items()}, rng)


def _drawn(kinds: tuple[Draw, ...], rng: random.Random) -> list[Question]:
    turn = 0

    def draw() -> Question:
        nonlocal turn
        turn += 1
        return kinds[turn % len(kinds)](rng)

    return distinct(draw, PER_LEVEL)
