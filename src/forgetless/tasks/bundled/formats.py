"""Formats: given data to be written as JSON, CSV, a table, a list or in so many words.

The data are drawn, so the right output is computed and its content is checked beside its form.
The level says how much there is to write and what has to be done to it first; on the lowest one,
two worked examples of the same kind come before, as earlier turns of the conversation.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from forgetless.tasks.form_rules import (
    CellsEqual,
    CsvColumns,
    EntriesEqual,
    JsonEquals,
    JsonObject,
    JsonType,
    Listing,
    ListOf,
    TableColumns,
    TextEquals,
    ValidJson,
)
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.rules import Rule
from forgetless.tasks.text_rules import LowerCase, SingleLine, UpperCase, WordCount

VERSION = "2"
COUNT = 336
LEVELS = 4
EXAMPLES = 2  # on level 1, which asks no more than level 2
SHORT = 6  # letters

NAMES = (
    *("Ada", "Ben", "Clara", "David", "Elena", "Felix", "Grace", "Hugo", "Irene", "Jonas"),
    *("Karin", "Leo", "Maria", "Nils", "Olga", "Pedro", "Rosa", "Simon", "Tara", "Victor"),
)
CITIES = (
    *("Lisbon", "Oslo", "Prague", "Vienna", "Dublin", "Madrid", "Athens", "Warsaw", "Rome"),
    *("Bern", "Paris", "Berlin", "Cairo", "Lima", "Tokyo", "Nairobi"),
)
JOBS = (
    *("baker", "nurse", "teacher", "pilot", "farmer", "painter", "lawyer", "driver", "cook"),
    *("gardener", "plumber", "dentist"),
)
THINGS = (
    *("apple", "bridge", "candle", "drum", "engine", "feather", "garden", "hammer", "island"),
    *("jacket", "kettle", "ladder", "mirror", "needle", "orange", "pencil", "ribbon", "saddle"),
    *("table", "umbrella", "violin", "window", "yarn", "zebra", "basket", "copper", "dragon"),
)
SENTENCES = (
    *("the night train leaves at nine", "bring two towels and a blanket", "green tea is ready"),
    *("our garden needs some rain", "she found a small silver key", "winter starts next week"),
    *("please close the kitchen window", "my sister plays the violin", "we ate bread and cheese"),
    *("the old bridge is closed today", "nobody saw the yellow bird", "he paints one door a day"),
    *("the shop opens on Monday morning", "turn left after the church", "a cold wind blew all day"),
)
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
ONLY = "Write only that, without any other text."


@dataclass(frozen=True)
class Asked:
    """What one item asks: the request, the output wanted, and the rules that check it."""

    request: str
    gold: str
    rules: tuple[Rule, ...]


def _field(rng: random.Random, key: str) -> Any:
    drawn: Mapping[str, Callable[[], Any]] = {
        "name": lambda: rng.choice(NAMES),
        "age": lambda: rng.randrange(18, 90),
        "city": lambda: rng.choice(CITIES),
        "member": lambda: rng.random() < 0.5,
        "job": lambda: rng.choice(JOBS),
        "tags": lambda: rng.sample(THINGS, 2),
    }
    return drawn[key]()


def _said(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"{key}: {'yes' if value else 'no'}"
    return f"{key}: {' and '.join(value) if isinstance(value, list) else value}"


def _json_object(rng: random.Random, work: int) -> Asked:
    keys = (("name", "age"), ("name", "age", "city", "member"))[min(work, 2) - 1]
    if work == 3:
        keys = (*keys, "job", "tags")
    types: dict[str, JsonType] = {"age": "number", "member": "boolean", "tags": "array"}
    value = {key: _field(rng, key) for key in keys}
    form = JsonObject(tuple((key, types.get(key, "string")) for key in keys))
    data = "; ".join(_said(key, value[key]) for key in keys)
    return _as_json(f"Here is a record. {data}. {form.request()}", value, form)


def _json_list(rng: random.Random, work: int) -> Asked:
    things = rng.sample(THINGS, work + 2)
    order = {1: "in this order", 2: "in alphabetical order", 3: "in reverse alphabetical order"}
    value = things if work == 1 else sorted(things, reverse=work == 3)
    form = ValidJson()
    request = f"Write these words as a JSON list of strings, {order[work]}: {', '.join(things)}."
    return _as_json(f"{request} {form.request()}", value, form)


def _json_records(rng: random.Random, work: int) -> Asked:
    people = rng.sample(NAMES, work + 1)
    ages = rng.sample(range(18, 90), len(people))
    value: Any = [{"name": n, "age": a} for n, a in zip(people, ages, strict=True)]
    said = ", ".join(f"{n} ({a})" for n, a in zip(people, ages, strict=True))
    what = 'a JSON list of objects with the keys "name" and "age"'
    if work == 3:
        value = {"people": sorted(value, key=lambda person: person["age"]), "count": len(people)}
        what = (
            'a JSON object with the keys "people" and "count"; "people" is a list of objects with '
            'the keys "name" and "age", the youngest first, "count" is how many they are'
        )
    form = ValidJson()
    return _as_json(
        f"People and their ages: {said}. Write them as {what}. {form.request()}", value, form
    )


def _as_json(request: str, value: Any, form: Rule) -> Asked:
    gold = json.dumps(value)
    return Asked(request, gold, (form, JsonEquals(gold)))


def _listing(listing: Listing) -> Callable[[random.Random, int], Asked]:
    marks = {"bullets": "- ", "numbers": "{}. "}
    joined = {"commas": ", ", "semicolons": "; "}

    def ask(rng: random.Random, work: int) -> Asked:
        things = rng.sample(THINGS, 2 * work + 1)
        while work == 3 and not 2 <= sum(len(thing) <= SHORT for thing in things) <= 5:
            things = rng.sample(THINGS, 2 * work + 1)
        entries, how = things, "in the given order"
        if work == 2:
            entries, how = sorted(things), "in alphabetical order"
        if work == 3:
            entries = sorted(thing for thing in things if len(thing) <= SHORT)
            how = f"in alphabetical order, but only those of at most {SHORT} letters"
        form = ListOf(listing, len(entries))
        gold = joined.get(listing, "\n").join(
            marks.get(listing, "").format(number) + entry
            for number, entry in enumerate(entries, start=1)
        )
        request = f"Here are some words: {' '.join(things)}. List them {how}. {form.request()}"
        return Asked(request, gold, (form, EntriesEqual(listing, tuple(entries))))

    return ask


def _rows(rng: random.Random, work: int) -> tuple[str, tuple[tuple[str, ...], ...]]:
    """People with two to four details, in words and as cells with a header."""
    people = rng.sample(NAMES, work + 1)
    header = ("name", "city", "age", "job")[: work + 1]
    rows = tuple((name, *(str(_field(rng, key)) for key in header[1:])) for name in people)
    said = " ".join(
        f"{name}: {', '.join(map(' '.join, zip(header[1:], details, strict=True)))}."
        for name, *details in rows
    )
    return f"{said} Columns: {', '.join(header)}.", (header, *rows)


def _csv(rng: random.Random, work: int) -> Asked:
    said, rows = _rows(rng, work)
    form = CsvColumns(len(rows[0]))
    gold = "\n".join(",".join(row) for row in rows)
    return Asked(f"{said} {form.request()}", gold, (form, CellsEqual("csv", rows)))


def _table(rng: random.Random, work: int) -> Asked:
    said, rows = _rows(rng, work)
    form = TableColumns(len(rows[0]))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    gold = "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])
    return Asked(f"{said} {form.request()}", gold, (form, CellsEqual("table", rows)))


def _repeated(rng: random.Random, work: int) -> Asked:
    word, count = rng.choice(THINGS), rng.randrange(4 * work - 1, 4 * work + 3)
    return Asked(
        f'Write the word "{word}" exactly {count} times, separated by spaces. {ONLY}',
        gold := " ".join([word] * count),
        (WordCount(count, count), TextEquals(gold, any_case=True)),
    )


def _cased(rng: random.Random, work: int) -> Asked:
    said = rng.sample(SENTENCES, work)
    text = ", ".join(said) if work == 3 else " and ".join(said)
    if rng.random() < 0.5:
        shown, gold, how = text, text.upper(), "CAPITAL letters"
    else:
        shown, gold, how = text.title(), text.lower(), "small letters"
    form = UpperCase() if gold.isupper() else LowerCase()
    return Asked(f'Write "{shown}" in {how}. {ONLY}', gold, (form, TextEquals(gold)))


def _date(rng: random.Random, work: int) -> Asked:
    days = [
        (rng.randrange(1990, 2031), rng.randrange(1, 13), rng.randrange(1, 29)) for _ in range(work)
    ]
    said = ", ".join(f"{day} {MONTHS[month - 1]} {year}" for year, month, day in days)
    entries = tuple(f"{year}-{month:02}-{day:02}" for year, month, day in days)
    form = ListOf("commas", work)
    noun = "this date" if work == 1 else "these dates, separated by commas on one line,"
    return Asked(
        f"Write {noun} in the form YYYY-MM-DD: {said}. {ONLY}",
        ", ".join(entries),
        (form, EntriesEqual("commas", entries)),
    )


def _template(rng: random.Random, work: int) -> Asked:
    keys = ("name", "city", "age", "job")[: work + 1]
    values = [str(_field(rng, key)) for key in keys]
    said = " ".join(
        f"The {key} is {v}." for key, v in rng.sample([*zip(keys, values, strict=True)], len(keys))
    )
    form = " / ".join(f"{key}=<{key}>" for key in keys)
    gold = " / ".join(f"{key}={value}" for key, value in zip(keys, values, strict=True))
    return Asked(
        f"{said} Fill in this form on one line, without the angle brackets: {form}\n{ONLY}",
        gold,
        (SingleLine(), TextEquals(gold, any_case=True)),
    )


FAMILIES: Mapping[str, Callable[[random.Random, int], Asked]] = {
    "json_object": _json_object,
    "bullets": _listing("bullets"),
    "repeated": _repeated,
    "csv": _csv,
    "commas": _listing("commas"),
    "json_list": _json_list,
    "cased": _cased,
    "numbers": _listing("numbers"),
    "table": _table,
    "date": _date,
    "json_records": _json_records,
    "template": _template,
}


def generate(count: int = COUNT) -> list[Row]:
    """Items of which any first part has the levels and the families in nearly equal shares.

    Args:
        count: How many; fewer are the first of more.
    """
    rng = random.Random(f"format/{VERSION}")  # noqa: S311
    rows: list[Row] = []
    seen: set[str] = set()
    families = list(FAMILIES)
    for number in range(count):
        level = number % LEVELS + 1
        family = families[(number // LEVELS) % len(families)]
        draw = partial(FAMILIES[family], rng, max(level - 1, 1))
        asked = draw()
        while asked.request in seen:
            asked = draw()
        seen.add(asked.request)
        rows.append(
            Row(
                f"level{level}/{number // LEVELS:03}/{family}",
                (*(_worked(draw, asked.gold) if level == 1 else ()), Turn("user", asked.request)),
                asked.gold,
                rules=asked.rules,
            )
        )
    return rows


def _worked(draw: Callable[[], Asked], gold: str) -> list[Turn]:
    """Examples with their answers; none of them is the answer to the item itself."""
    golds = [gold]
    turns: list[Turn] = []
    while len(golds) <= EXAMPLES:
        example = draw()
        if example.gold not in golds:
            golds.append(example.gold)
            turns += [Turn("user", example.request), Turn("assistant", example.gold)]
    return turns
