"""Two kinds of puzzle for the reasoning task: which statement is true, and who finished where."""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import permutations

from forgetless.tasks.bundled.choices import Question

RUNNERS = ("Anna", "Boris", "Clara", "David", "Elena", "Frank", "Grace", "Henry")
FACTS = {
    "A": ("the door is open", "the door is not open"),
    "B": ("the lamp is lit", "the lamp is not lit"),
    "C": ("the cat is asleep", "the cat is not asleep"),
    "D": ("the kettle is full", "the kettle is not full"),
}
NTH = ("first", "second", "third", "fourth", "fifth", "sixth")

Formula = tuple[str, bool]  # how it reads, and whether it is true


def truth(depth: int, rng: random.Random) -> Question:
    """Four statements put together from simple ones in one and the same way; one of them is true.

    Args:
        depth: 1: two simple statements joined; 2 and 3: so many levels of brackets.
        rng: Draws.
    """
    values = {name: rng.random() < 0.5 for name in FACTS}
    given = ", ".join(FACTS[name][0 if values[name] else 1] for name in FACTS)
    joints = [rng.choice(("and", "or")) for _ in range(2**depth - 1)]
    drawn: dict[bool, dict[str, None]] = {True: {}, False: {}}
    while len(drawn[True]) < 1 or len(drawn[False]) < 3:
        text, value = _joined(depth, list(joints), values, rng)
        if len(drawn[value]) < (1 if value else 3):
            drawn[value][text] = None
    meanings = "; ".join(f"{name}: {FACTS[name][0]}" for name in FACTS)
    (answer,) = drawn[True]
    return Question(
        f"Four statements: {meanings}. In fact, {given}. Of the combinations, the true one is",
        answer,
        tuple(drawn[False]),
    )


def _joined(
    depth: int, joints: list[str], values: Mapping[str, bool], rng: random.Random
) -> Formula:
    """Statements joined by ``and`` and ``or`` in a given order, which is used up."""
    joint = joints.pop()
    if depth == 1:
        pair = sorted(rng.sample(list(values), 2))
        parts = [
            (f"not {n}", not values[n]) if rng.random() < 0.4 else (n, values[n]) for n in pair
        ]
    else:
        parts = [_joined(depth - 1, joints, values, rng) for _ in range(2)]
    (left, is_left), (right, is_right) = parts
    value = (is_left and is_right) if joint == "and" else (is_left or is_right)
    return f"{left} {joint} {right}" if depth == 1 else f"({left}) {joint} ({right})", value


def race(runners: int, rng: random.Random) -> Question:
    """Clues that leave one order of finishing; who came in a certain place?"""
    order = rng.sample(RUNNERS, runners)
    people = sorted(order)
    left = list(permutations(people))
    clues: list[str] = []
    while len(left) > 1:
        clue, kept = _clue(order, left, rng)
        if len(kept) < len(left):
            clues.append(clue)
            left = kept
    rng.shuffle(clues)
    place = rng.randrange(runners)
    listed = f"{', '.join(people[:-1])} and {people[-1]}"
    others = [name for name in people if name != order[place]]
    return Question(
        f"{listed} ran a race. {' '.join(clues)} The runner who came {NTH[place]} is",
        order[place],
        tuple(rng.sample(others, 3)),
    )


def _clue(
    order: list[str], left: list[tuple[str, ...]], rng: random.Random
) -> tuple[str, list[tuple[str, ...]]]:
    """A true clue, and the orders that it leaves."""
    kind = rng.choice(("before", "next", "not", "between"))
    if kind == "before":
        a, b = (order[place] for place in sorted(rng.sample(range(len(order)), 2)))
        return f"{a} came before {b}.", [o for o in left if o.index(a) < o.index(b)]
    if kind == "next":
        place = rng.randrange(len(order) - 1)
        a, b = order[place], order[place + 1]
        return f"{a} came right before {b}.", [o for o in left if o.index(a) + 1 == o.index(b)]
    if kind == "not":
        place = rng.randrange(len(order))
        name = rng.choice([name for name in order if name != order[place]])
        return f"{name} did not come {NTH[place]}.", [o for o in left if o[place] != name]
    place = rng.randrange(len(order) - 2)
    a, b = order[place], order[place + 2]
    return (
        f"Exactly one runner came between {a} and {b}, and {a} came before {b}.",
        [o for o in left if o.index(a) + 2 == o.index(b)],
    )
