"""What does this short Python program print?  The programs are generated and really run.

Wrong choices are what the program prints after one slip: a number off by one, an operator
mistaken, a line left out.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from forgetless.tasks.bundled.choices import Question, distinct, laid_out
from forgetless.tasks.bundled.programs import (
    Assign,
    Binary,
    Call,
    Comprehension,
    Do,
    Expression,
    For,
    Function,
    If,
    Item,
    ListOf,
    Method,
    Name,
    Program,
    Slice,
    SlipError,
    Value,
    While,
)
from forgetless.tasks.row import Row

VERSION = "1"
PER_LEVEL = 64
WORDS = ("apple", "river", "stone", "table", "music", "green", "house", "light", "cloud", "bread")

Draw = Callable[[random.Random], Program]


def _of(operator: str, left: Expression, right: Expression | int, *, inner: bool = False) -> Binary:
    return Binary(left, operator, Value(right) if isinstance(right, int) else right, inner)


def _numbers(rng: random.Random, size: int, low: int = 1, high: int = 20) -> ListOf:
    return ListOf(tuple(Value(number) for number in rng.sample(range(low, high + 1), size)))


def _range(*bounds: int | Expression) -> Call:
    return Call("range", tuple(Value(b) if isinstance(b, int) else b for b in bounds))


X, Y, N, INDEX, J, TOTAL, NUMBERS, WORD = map(
    Name, ("x", "y", "n", "i", "j", "total", "numbers", "word")
)


def _printed_sum(rng: random.Random) -> Program:
    a, b = rng.randint(1, 12), rng.randint(1, 12)
    return Program((), _of(rng.choice("+-"), Value(a + b), b))


def _one_variable(rng: random.Random) -> Program:
    a, b = rng.randint(5, 20), rng.randint(1, 5)
    return Program((Assign("x", Value(a)),), _of(rng.choice("+-"), X, b))


def _last_value(rng: random.Random) -> Program:
    first, second, third = (Value(number) for number in rng.sample(range(10, 99), 3))
    return Program((Assign("x", first), Assign("y", second), Assign("x", third)), X)


def _first_item(rng: random.Random) -> Program:
    return Program((Assign("numbers", _numbers(rng, 4, 10, 99)),), Item(NUMBERS, Value(0)))


def _two_variables(rng: random.Random) -> Program:
    a, b = rng.randint(10, 40), rng.randint(2, 9)
    statements = (Assign("x", Value(a)), Assign("y", Value(b)), Assign("x", _of("+", X, Y)))
    return Program(statements, _of(rng.choice("+-*"), X, rng.randint(2, 9)))


def _division(rng: random.Random) -> Program:
    a, b = rng.randint(20, 99), rng.randint(3, 9)
    return Program((Assign("n", Value(a)),), _of(rng.choice(("//", "%")), N, b))


def _item(rng: random.Random) -> Program:
    place = rng.randint(1, 3)
    return Program((Assign("numbers", _numbers(rng, 5, 10, 99)),), Item(NUMBERS, Value(place)))


def _letter(rng: random.Random) -> Program:
    place = rng.randint(0, 4)
    return Program((Assign("word", Value(rng.choice(WORDS))),), Item(WORD, Value(place)))


def _condition(rng: random.Random) -> Program:
    a, b = rng.randint(5, 30), rng.randint(10, 25)
    return Program(
        (
            Assign("x", Value(a)),
            If(
                _of(rng.choice("<>"), X, b),
                (Assign("x", Value(rng.randint(2, 9)), "*"),),
                (Assign("x", Value(rng.randint(2, 9)), "+"),),
            ),
        ),
        X,
    )


def _loop(rng: random.Random) -> Program:
    low, high = rng.randint(0, 3), rng.randint(4, 7)
    start = rng.choice((0, 10, 20))
    return Program(
        (
            Assign("total", Value(start)),
            For("i", _range(low, high), (Assign("total", INDEX, "+"),)),
        ),
        TOTAL,
    )


def _slice(rng: random.Random) -> Program:
    start, size = rng.randint(0, 2), rng.randint(2, 3)
    if rng.random() < 0.5:
        whole = Slice(WORD, Value(start), Value(start + size))
        return Program((Assign("word", Value(rng.choice(WORDS))),), whole)
    whole = Slice(NUMBERS, Value(start), Value(start + size))
    return Program((Assign("numbers", _numbers(rng, 6)),), Call("sum", (whole,)))


def _function(rng: random.Random) -> Program:
    body = _of("+", _of("*", X, rng.randint(2, 6)), rng.randint(1, 9))
    return Program(
        (Function("f", ("x",), body),),
        _of("-", Call("f", (Value(rng.randint(2, 9)),)), rng.randint(1, 5)),
    )


def _filtered_loop(rng: random.Random) -> Program:
    test = _of("==", _of("%", INDEX, rng.randint(2, 4)), 0)
    return Program(
        (
            Assign("total", Value(0)),
            For(
                "i",
                _range(rng.randint(1, 4), rng.randint(9, 15)),
                (If(test, (Assign("total", INDEX, "+"),), (Assign("total", Value(1), "-"),)),),
            ),
        ),
        TOTAL,
    )


def _while(rng: random.Random) -> Program:
    return Program(
        (
            Assign("n", Value(rng.randint(40, 200))),
            Assign("total", Value(0)),
            While(
                _of(">", N, rng.randint(2, 5)),
                (Assign("n", Value(rng.randint(2, 3)), "//"), Assign("total", N, "+")),
            ),
        ),
        TOTAL,
    )


def _nested(rng: random.Random) -> Program:
    return Program(
        (
            Assign("total", Value(0)),
            For(
                "i",
                _range(1, rng.randint(3, 5)),
                (
                    For(
                        "j",
                        _range(rng.choice((0, 1)), INDEX),
                        (Assign("total", _of("*", INDEX, J), "+"),),
                    ),
                ),
            ),
        ),
        _of("+", TOTAL, rng.randint(1, 9)),
    )


def _comprehension(rng: random.Random) -> Program:
    kept = Comprehension(
        _of("*", X, rng.randint(2, 4)), "x", NUMBERS, _of(rng.choice("<>"), X, rng.randint(7, 13))
    )
    return Program(
        (Assign("numbers", _numbers(rng, 6)),),
        Call(rng.choice(("sum", "len", "max")), (kept,)),
    )


def _recursion(rng: random.Random) -> Program:
    smaller, smaller_still = (Call("f", (_of("-", N, back),)) for back in (1, rng.choice((2, 3))))
    result = _of("+", _of("+", smaller, smaller_still), rng.randint(1, 3))
    return Program(
        (Function("f", ("n",), result, _of("<", N, rng.choice((2, 3))), Value(rng.randint(1, 3))),),
        Call("f", (Value(rng.randint(5, 7)),)),
    )


def _list_building(rng: random.Random) -> Program:
    """A list that grows out of its own last items."""
    last, before = Item(NUMBERS, Value(-1)), Item(NUMBERS, Value(-2))
    difference = _of("-", _of("*", last, rng.randint(2, 3)), before, inner=True)
    new = _of("%", difference, rng.randint(11, 19))
    return Program(
        (
            Assign("numbers", _numbers(rng, 2, 1, 6)),
            For(
                "i",
                _range(rng.randint(4, 6)),
                (Do(Method(NUMBERS, "append", (new,))),),
            ),
        ),
        Call("sum", (NUMBERS,)),
    )


def _steps_through(rng: random.Random) -> Program:
    """A remainder that is squared, shifted and cut, over and over."""
    return Program(
        (
            Assign("n", Value(rng.randint(3, 12))),
            Assign("total", Value(0)),
            For(
                "i",
                _range(1, rng.randint(6, 8)),
                (
                    Assign(
                        "n",
                        _of("%", _of("+", _of("*", N, N), INDEX, inner=True), rng.randint(17, 41)),
                    ),
                    If(
                        _of("==", _of("%", N, 2), 0),
                        (Assign("total", N, "+"),),
                        (Assign("total", INDEX, "-"),),
                    ),
                ),
            ),
        ),
        TOTAL,
    )


def _deep_filter(rng: random.Random) -> Program:
    test = _of("==", _of("%", _of("+", INDEX, J, inner=True), rng.randint(2, 4)), rng.randint(0, 1))
    return Program(
        (
            Assign("total", Value(rng.randint(0, 9))),
            For(
                "i",
                _range(1, rng.randint(5, 6)),
                (
                    For(
                        "j",
                        _range(INDEX, rng.randint(6, 8)),
                        (If(test, (Assign("total", _of("*", INDEX, J), "+"),)),),
                    ),
                ),
            ),
        ),
        TOTAL,
    )


LEVELS: dict[int, tuple[Draw, ...]] = {
    1: (_printed_sum, _one_variable, _last_value, _first_item),
    2: (_two_variables, _division, _item, _letter),
    3: (_condition, _loop, _slice, _function),
    4: (_filtered_loop, _while, _nested, _comprehension),
    5: (_recursion, _list_building, _steps_through, _deep_filter),
}


def items() -> list[Row]:
    """All questions; the kinds of a level take turns."""
    rng = random.Random(f"code_reading/{VERSION}")  # noqa: S311
    return laid_out({level: _drawn(kinds, rng) for level, kinds in LEVELS.items()}, rng)


def _drawn(kinds: tuple[Draw, ...], rng: random.Random) -> list[Question]:
    turn = 0

    def draw() -> Question:
        nonlocal turn
        turn += 1
        while True:
            program = kinds[turn % len(kinds)](rng)
            wrong = _wrong(program, rng)
            if len(wrong) == 3:
                return Question(
                    f"This Python program:\n\n{program.text()}\n\nprints the following:",
                    program.output(),
                    wrong,
                )

    return distinct(draw, PER_LEVEL)


def _wrong(program: Program, rng: random.Random) -> tuple[str, ...]:
    """Up to three things that the program prints after a slip, and not otherwise."""
    answer = program.output()
    found = set()
    for slip in program.slips():
        try:
            output = slip.output()
        except SlipError:
            continue
        if output not in (answer, ""):
            found.add(output)
    if not all(output.lstrip("-").isdigit() for output in (answer, *found)):
        return tuple(_closest(found, answer, 3, rng))
    below = {output for output in found if int(output) < int(answer)}
    above = found - below
    # the right number is as often the smallest as the largest, so its rank gives nothing away
    ranks = range(max(0, 3 - len(above)), min(3, len(below)) + 1)
    rank = rng.choice(ranks) if ranks else 0
    return (*_closest(below, answer, rank, rng), *_closest(above, answer, 3 - rank, rng))


def _closest(outputs: set[str], answer: str, count: int, rng: random.Random) -> list[str]:
    """Outputs about as long as the answer, so that length gives nothing away either."""
    shuffled = rng.sample(sorted(outputs), len(outputs))
    return sorted(shuffled, key=lambda output: abs(len(output) - len(answer)))[:count]
