"""Arithmetic with whole numbers, answered freely: from 3 + 4 to chains of seven-digit numbers."""

from __future__ import annotations

import random
from collections.abc import Callable

from forgetless.tasks.bundled.choices import Question, distinct, laid_out
from forgetless.tasks.row import Row

VERSION = "1"
PER_LEVEL = 64

Drawn = tuple[str, int]
Draw = Callable[[random.Random], Drawn]

NAMES = ("Ada", "Ben", "Carla", "Dmitri", "Esi", "Farid", "Greta", "Hiro", "Ines", "Jonas")
GOODS = ("pencils", "apples", "stamps", "tickets", "candles", "buttons", "marbles", "postcards")


def _sum(low: int, high: int) -> Draw:
    def draw(rng: random.Random) -> Drawn:
        a, b = rng.randint(low, high), rng.randint(low, high)
        return f"What is {a} + {b}?", a + b

    return draw


def _difference(low: int, high: int) -> Draw:
    def draw(rng: random.Random) -> Drawn:
        b, a = sorted((rng.randint(low, high), rng.randint(low, high)))
        return f"What is {a} - {b}?", a - b

    return draw


def _product(left: tuple[int, int], right: tuple[int, int]) -> Draw:
    def draw(rng: random.Random) -> Drawn:
        a, b = rng.randint(*left), rng.randint(*right)
        return f"What is {a} * {b}?", a * b

    return draw


def _quotient(divisor: tuple[int, int], result: tuple[int, int]) -> Draw:
    def draw(rng: random.Random) -> Drawn:
        b, answer = rng.randint(*divisor), rng.randint(*result)
        return f"What is {b * answer} / {b}?", answer

    return draw


def _remainder(rng: random.Random) -> Drawn:
    a, b = rng.randint(10_000, 99_999), rng.randint(13, 97)
    return f"What is the remainder when {a} is divided by {b}?", a % b


def _percent(shares: tuple[int, ...], unit: int, most: int) -> Draw:
    def draw(rng: random.Random) -> Drawn:
        share, whole = rng.choice(shares), unit * rng.randint(1, most)
        return f"What is {share}% of {whole}?", share * whole // 100

    return draw


def _chain(terms: int, high: int, *, products: bool) -> Draw:
    """A chain of additions and subtractions, one product in it if asked for."""

    def draw(rng: random.Random) -> Drawn:
        text = str(total := rng.randint(high // 2, high) * 3)
        product = rng.randrange(1, terms) if products else 0
        for place in range(1, terms):
            value, shown = rng.randint(2, high), ""
            if place == product:
                factor = rng.randint(3, 12)
                shown = f"{value} * {factor}"
                value *= factor
            sign = rng.choice("+-")
            text += f" {sign} {shown or value}"
            total += value if sign == "+" else -value
        return f"What is {text}?", total

    return draw


def _brackets(rng: random.Random) -> Drawn:
    a, b, c, d = (rng.randint(12, 99) for _ in range(4))
    e = rng.randint(100, 999)
    return f"What is ({a} + {b}) * ({c} - {d}) + {e}?", (a + b) * (c - d) + e


def _bought(rng: random.Random) -> Drawn:
    name, goods = rng.choice(NAMES), rng.choice(GOODS)
    had, more = rng.randint(11, 60), rng.randint(11, 60)
    return (
        f"{name} has {had} {goods} and buys {more} more. How many {goods} does {name} have now?",
        had + more,
    )


def _shared(rng: random.Random) -> Drawn:
    name, goods = rng.choice(NAMES), rng.choice(GOODS)
    friends, each = rng.randint(3, 9), rng.randint(12, 40)
    return (
        f"{name} shares {friends * each} {goods} equally among {friends} friends. "
        f"How many {goods} does each friend get?",
        each,
    )


def _boxes(rng: random.Random) -> Drawn:
    name, goods = rng.choice(NAMES), rng.choice(GOODS)
    boxes, each, lost = rng.randint(6, 19), rng.randint(12, 48), rng.randint(7, 60)
    return (
        f"{name} has {boxes} boxes with {each} {goods} each and gives away {lost} {goods}. "
        f"How many {goods} are left?",
        boxes * each - lost,
    )


def _discount(rng: random.Random) -> Drawn:
    price, share = 20 * rng.randint(4, 60), 5 * rng.randint(1, 12)
    return (
        f"A coat costs {price} dollars. In a sale it is {share}% cheaper. "
        "How many dollars does it cost in the sale?",
        price * (100 - share) // 100,
    )


def _journey(rng: random.Random) -> Drawn:
    name = rng.choice(NAMES)
    first, speed = rng.randint(3, 9), rng.randint(41, 98)
    second, slower = rng.randint(3, 9), rng.randint(11, 38)
    return (
        f"{name} drives {first} hours at {speed} km per hour, then {second} hours "
        f"{slower} km per hour slower. How many km does {name} drive in all?",
        first * speed + second * (speed - slower),
    )


def _orders(rng: random.Random) -> Drawn:
    name, goods = rng.choice(NAMES), rng.choice(GOODS)
    packs, each = rng.randint(12, 48), rng.randint(24, 96)
    share, price = rng.choice((25, 50, 75)), rng.randint(3, 19)
    each -= each % 4
    return (
        f"{name} buys {packs} packs of {each} {goods}, sells {share}% of the {goods} at "
        f"{price} cents each, and keeps the rest. How many cents does {name} get?",
        packs * each * share // 100 * price,
    )


LEVELS: dict[int, tuple[Draw, ...]] = {
    1: (_sum(1, 9), _difference(1, 12), _product((1, 5), (1, 5)), _sum(5, 15)),
    2: (
        _sum(11, 60),
        _difference(11, 99),
        _product((2, 12), (2, 12)),
        _quotient((2, 9), (2, 12)),
        _bought,
    ),
    3: (
        _sum(100, 999),
        _difference(100, 999),
        _product((11, 99), (3, 9)),
        _quotient((3, 9), (25, 150)),
        _percent((10, 20, 25, 50, 75), 20, 30),
        _shared,
    ),
    4: (
        _sum(10_000, 99_999),
        _difference(10_000, 99_999),
        _product((21, 99), (21, 99)),
        _quotient((12, 49), (23, 99)),
        _chain(4, 60, products=True),
        _boxes,
        _discount,
    ),
    5: (
        _sum(1_000_000, 99_999_999),
        _product((1_001, 9_999), (101, 999)),
        _chain(9, 2_000, products=True),
        _brackets,
        _remainder,
        _percent((7, 13, 17, 19, 23, 29, 37, 43, 59, 83), 100, 900),
        _journey,
        _orders,
    ),
}


def items() -> list[Row]:
    """All questions; the kinds of a level take turns."""
    rng = random.Random(f"arithmetic/{VERSION}")  # noqa: S311
    return laid_out({level: _drawn(kinds, rng) for level, kinds in LEVELS.items()}, rng)


def _drawn(kinds: tuple[Draw, ...], rng: random.Random) -> list[Question]:
    turn = 0

    def draw() -> Question:
        nonlocal turn
        question, answer = kinds[turn % len(kinds)](rng)
        turn += 1
        return Question(f"Answer with a number only. {question}", str(answer))

    return distinct(draw, PER_LEVEL)
