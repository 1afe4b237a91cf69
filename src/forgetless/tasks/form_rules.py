"""Rules about data in an answer: JSON, CSV, tables and lists, in form and in content.

A form rule says only how the answer is built; the rule of content beside it wants given data in
that form.  So an item's share of rules met tells a broken form from wrong data.  Data are kept as
canonical JSON text, which makes a rule hashable.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from forgetless.tasks.matching import normalise
from forgetless.tasks.rules import Rule
from forgetless.tasks.text_rules import bullets, numbered

JsonType = Literal["string", "number", "boolean", "array", "object"]
Listing = Literal["bullets", "numbers", "lines", "commas", "semicolons"]

_TYPES: dict[JsonType, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
_INVALID = object()
_ALIGNMENT = re.compile(r":?-+:?")
_LISTED = {
    "bullets": 'as a bullet list, one entry a line, each line starting with "- "',
    "numbers": 'as a numbered list, one entry a line, written "1.", "2." and so on',
    "lines": "one entry a line, without bullets or numbers",
    "commas": "on one line, separated by commas",
    "semicolons": "on one line, separated by semicolons",
}


def _json(text: str) -> Any:
    """The value of JSON text as its standard has it; ``_INVALID`` if it is none."""
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_no_twins)
    except (ValueError, RecursionError):
        return _INVALID


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _no_twins(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands there twice")
    return dict(pairs)


def _same(found: Any, wanted: Any) -> bool:
    """Equal values: true is not 1, 2.0 is 2, the order of keys is free."""
    if isinstance(wanted, dict):
        return (
            isinstance(found, dict)
            and found.keys() == wanted.keys()
            and all(_same(found[key], wanted[key]) for key in wanted)
        )
    if isinstance(wanted, list):
        return (
            isinstance(found, list) and len(found) == len(wanted) and all(map(_same, found, wanted))
        )
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)


@dataclass(frozen=True, slots=True)
class ValidJson(Rule):
    """The whole text is a JSON object or list."""

    def met(self, text: str) -> bool:
        return isinstance(_json(text), dict | list)

    def request(self) -> str:
        return "Answer with valid JSON only, without a code block and without other text."


@dataclass(frozen=True, slots=True)
class JsonObject(Rule):
    """The whole text is a JSON object with exactly these keys, each with a value of its type."""

    keys: tuple[tuple[str, JsonType], ...]

    def met(self, text: str) -> bool:
        found = _json(text)
        return (
            isinstance(found, dict)
            and found.keys() == dict(self.keys).keys()
            and all(_is(found[key], kind) for key, kind in self.keys)
        )

    def request(self) -> str:
        keys = ", ".join(f'"{key}" ({kind})' for key, kind in self.keys)
        return (
            f"Answer with one JSON object only, with exactly these keys: {keys}. "
            "No code block and no other text."
        )


def _is(value: Any, kind: JsonType) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


@dataclass(frozen=True, slots=True)
class JsonEquals(Rule):
    """The whole text is JSON of this value, given as JSON text; layout and key order are free."""

    value: str

    def met(self, text: str) -> bool:
        return _same(_json(text), json.loads(self.value))

    def request(self) -> str:
        return f"The value must be {self.value}."


def _csv(text: str) -> list[list[str]] | None:
    """Cells, stripped; None if it is no CSV."""
    try:
        rows = list(csv.reader(text.split("\n"), skipinitialspace=True, strict=True))
    except csv.Error:
        return None
    return [[cell.strip() for cell in row] for row in rows if row]


@dataclass(frozen=True, slots=True)
class CsvColumns(Rule):
    """The whole text is CSV: a header and at least one row, each of so many cells."""

    count: int

    def met(self, text: str) -> bool:
        rows = _csv(text)
        return rows is not None and len(rows) > 1 and all(len(row) == self.count for row in rows)

    def request(self) -> str:
        return (
            f"Answer with CSV only: a header line and then one line per row, {self.count} columns "
            "separated by commas, without a code block and without other text."
        )


def _table(text: str) -> list[list[str]] | None:
    """Cells of a Markdown table, its line of dashes left out; None if it is no table."""
    rows = []
    for line in filter(None, (line.strip() for line in text.split("\n"))):
        if not (len(line) > 1 and line.startswith("|") and line.endswith("|")):
            return None
        rows.append([cell.strip() for cell in line[1:-1].split("|")])
    if len(rows) < 3 or not all(map(_ALIGNMENT.fullmatch, rows[1])):
        return None
    return [rows[0], *rows[2:]] if len({len(row) for row in rows}) == 1 else None


@dataclass(frozen=True, slots=True)
class TableColumns(Rule):
    """The whole text is a Markdown table with so many columns."""

    count: int

    def met(self, text: str) -> bool:
        rows = _table(text)
        return rows is not None and len(rows[0]) == self.count

    def request(self) -> str:
        return (
            f"Answer with a Markdown table of {self.count} columns only: a header line, a line of "
            "dashes, then one line per row, every line starting and ending with |."
        )


@dataclass(frozen=True, slots=True)
class CellsEqual(Rule):
    """A CSV or a Markdown table holds these cells, the header first; case and spacing are free."""

    form: Literal["csv", "table"]
    rows: tuple[tuple[str, ...], ...]

    def met(self, text: str) -> bool:
        found = _csv(text) if self.form == "csv" else _table(text)
        return found is not None and [list(map(normalise, row)) for row in found] == [
            list(map(normalise, row)) for row in self.rows
        ]

    def request(self) -> str:
        return f"The cells must be {json.dumps(self.rows, ensure_ascii=False)}."


def _entries(text: str, listing: Listing) -> list[str] | None:
    """Entries of a text that is a list and nothing else, else None."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if listing in ("commas", "semicolons"):
        mark = "," if listing == "commas" else ";"
        return text.removesuffix(".").split(mark) if len(lines) == 1 else None
    found = {"bullets": bullets, "numbers": numbered}.get(listing, _bare)(text)
    return found if found is not None and len(found) == len(lines) else None


def _bare(text: str) -> list[str]:
    marked = {*bullets(text), *(numbered(text) or ())}
    return [line.strip() for line in text.split("\n") if line.strip() and not marked]


@dataclass(frozen=True, slots=True)
class ListOf(Rule):
    """The whole text is a list of so many entries in the form asked for."""

    listing: Listing
    count: int

    def met(self, text: str) -> bool:
        found = _entries(text, self.listing)
        return found is not None and len(found) == self.count and all(map(str.strip, found))

    def request(self) -> str:
        return f"Answer with the list only, {_LISTED[self.listing]}."


@dataclass(frozen=True, slots=True)
class EntriesEqual(Rule):
    """A list holds these entries in this order; case and spacing are free."""

    listing: Listing
    entries: tuple[str, ...]

    def met(self, text: str) -> bool:
        found = _entries(text, self.listing)
        return found is not None and list(map(normalise, found)) == list(
            map(normalise, self.entries)
        )

    def request(self) -> str:
        return f"The entries must be {json.dumps(self.entries, ensure_ascii=False)}."


@dataclass(frozen=True, slots=True)
class TextEquals(Rule):
    """The text is this one; only spacing, and quotation marks around it, are free.

    Attributes:
        wanted: The text, on one line.
        any_case: Whether case is free too; then so is a full stop at the end.
    """

    wanted: str
    any_case: bool = False

    def met(self, text: str) -> bool:
        if self.any_case:
            return normalise(text) == normalise(self.wanted)
        return " ".join(text.split()).strip("\"'`“”‘’ ") == self.wanted

    def request(self) -> str:
        return f'The text must be "{self.wanted}".'
