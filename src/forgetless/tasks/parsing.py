"""Text files to records: JSONL, JSON and CSV, strictly and without guessing types.

A reader that guesses would learn ``7`` where a CSV cell says ``007``, and datetimes where a column
holds dates.  Every fault is reported with its file and line.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from forgetless.errors import DataError

LONGEST_CELL = 2**24
"""Characters in a cell of CSV, 128 times what Python allows; more are a quote never closed."""

DEEPEST = 100
"""Objects and lists inside one another in a record; what walks through them may recurse."""

_NEEDED = 'needed an object such as {"prompt": "...", "completion": "..."}'

_MARK = "\ud800"
"""Half of a surrogate pair, which no text of a record holds: a file with one is refused."""

_MARKED = re.compile(f'"{_MARK}([^"]+)"')


class Number(str):
    """A number with a point or an exponent: the text that stands in the file, known as a number."""

    __slots__ = ()


def to_json(record: Mapping[str, Any]) -> str:
    """A record as JSON, its numbers as they are written.

    >>> to_json({"choices": [Number("1.50"), 2, "1.50"]})
    '{"choices": [1.50, 2, "1.50"]}'
    """
    return _MARKED.sub(r"\1", json.dumps(_marked(record), ensure_ascii=False))


def _marked(value: Any) -> Any:
    """Numbers as texts with a mark; the library would write 1.50 as 1.5."""
    if isinstance(value, Number):
        return _MARK + value
    if isinstance(value, dict):
        return {key: _marked(inner) for key, inner in value.items()}
    return [_marked(inner) for inner in value] if isinstance(value, list) else value


from_json = json.JSONDecoder(parse_float=Number).decode
"""The record of which :func:`to_json` made a text."""


def scan(files: Sequence[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every record of text files after the place where it stands."""
    for file in files:
        yield from {".jsonl": _jsonl, ".json": _json, ".csv": _csv}[file.suffix.lower()](file)


def _lines(file: Path) -> Generator[str, None, None]:
    """Lines as they are; only the mark that some editors put at the start is left out."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{file}:{number}: not UTF-8 text ({error.reason})",
                    fix="save the file as UTF-8",
                ) from None
            if "\x00" in text:
                raise DataError(f"{file}:{number}: a NUL byte; needed text")
            yield text


def _jsonl(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with closing(_lines(file)) as lines:
        for number, text in enumerate(lines, start=1):
            if text.strip():
                place = f"{file}:{number}"
                yield place, _object(_parsed(text.rstrip("\r\n"), file, number), place)


def _json(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """One list of objects, one object, or one object a line."""
    lines = list(_lines(file))
    filled = [text.strip() for text in lines if text.strip()]
    if len(filled) > 1 and filled[0].startswith("{") and filled[0].endswith("}"):
        yield from _jsonl(file)
        return
    found = _parsed("".join(lines), file, 1) if filled else []
    for number, record in enumerate(found if isinstance(found, list) else [found], start=1):
        place = f"{file}:row {number}"
        yield place, _object(record, place)


def _csv(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Cells are text as they stand; an empty one is absent."""
    csv.field_size_limit(LONGEST_CELL)
    lines = _lines(file)
    reader = csv.reader(lines, strict=True)
    names: list[str] | None = None
    begun = 1
    try:
        for cells in reader:
            place = f"{file}:{begun}"
            begun = reader.line_num + 1
            if not cells:
                continue
            if names is None:
                names = cells
                twice = sorted({name for name in names if name and names.count(name) > 1})
                if twice:
                    raise DataError(
                        f"{place}: the column {twice[0]!r} stands there twice",
                        fix="rename one of the two",
                    )
            elif len(cells) != len(names):
                raise DataError(
                    f"{place}: found {len(cells)}, needed {len(names)} cells as in the first line",
                    fix='put text that contains a comma in quotes: "a, b"',
                )
            else:
                yield place, {name: cell or None for name, cell in zip(names, cells, strict=True)}
    except csv.Error as error:
        reason = str(error)
        if reason.startswith("new-line character"):  # what follows is advice for programmers
            reason = "a carriage return that ends no line"
        elif reason.startswith("field larger"):
            reason = f"a cell of over {LONGEST_CELL:,} characters; is a quote not closed?"
        elif reason == "unexpected end of data":
            reason = "a quote is never closed"
        elif reader.line_num > begun:  # the quote that ends there was opened in an earlier line
            reason += f" in line {reader.line_num}; is a quote not closed?"
        raise DataError(
            f"{file}:{begun}: not valid CSV: {reason}",
            fix="mend that row, or save the table as JSONL",
        ) from None
    finally:
        lines.close()


def _parsed(text: str, file: Path, line: int) -> Any:
    """JSON as strictly as its standard has it; numbers with a point stay as they are written."""
    try:
        value = json.loads(
            text, parse_float=Number, parse_constant=_no_constant, object_pairs_hook=_no_twins
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError):
            line, reason = line + error.lineno - 1, error.msg
        elif isinstance(error, UnicodeEncodeError):
            reason = "half of a surrogate pair"
        else:
            reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            if "set_int_max_str_digits" in reason:  # advice for programmers
                reason = "a number of too many digits"
        raise DataError(
            f"{file}:{line}: not valid JSON: {reason}", fix="mend or delete that line"
        ) from None
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"found {name}")


def _no_twins(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"found the key {twice!r} twice")
    return record


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        hint = "a file that is one list is named .json" if isinstance(value, list) else None
        raise DataError(f"{place}: found {type(value).__name__}, {_NEEDED}", fix=hint)
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return value
    raise DataError(
        f"{place}: nested too deeply; needed at most {DEEPEST} objects and lists in one another",
        fix="mend or delete that row",
    )
