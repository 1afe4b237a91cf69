"""JSON that other tools wrote, with the place of every fault."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from forgetless.errors import DataError

AGAIN = "the run was cut short or the file was changed: copy it again, or run the evaluation again"


def read_object(file: Path) -> dict[str, Any]:
    """The one object of a JSON file.

    Raises:
        DataError: naming file and line.
    """
    return parse_object(_read(file), str(file))


def parse_object(content: bytes, place: str) -> dict[str, Any]:
    """The one object of some JSON; ``place`` is named in messages, before the line."""
    try:
        found = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: not UTF-8 text ({error.reason})", fix=AGAIN) from None
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at column {error.colno}"
        raise DataError(f"{place}:{error.lineno}: not valid JSON: {reason}", fix=AGAIN) from None
    except (RecursionError, ValueError) as error:
        raise DataError(f"{place}: not valid JSON: {_reason(error)}", fix=AGAIN) from None
    return _object(found, place)


def read_lines(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of a JSONL file after the place where it stands.

    Raises:
        DataError: naming file and line.
    """
    for number, line in enumerate(_read(file).split(b"\n"), start=1):
        if line.strip():
            place = f"{file}:{number}"
            try:
                yield place, _object(json.loads(line.decode("utf-8")), place)
            except (RecursionError, ValueError) as error:
                raise DataError(f"{place}: not valid JSON: {_reason(error)}", fix=AGAIN) from None


def part(record: Mapping[str, Any], name: str, kind: type, place: str) -> Any:
    """A field that must be there and of a kind.

    Raises:
        DataError: saying what was found instead.
    """
    value = record.get(name)
    if not isinstance(value, kind):
        found = "no such field" if name not in record else f"found {type(value).__name__}"
        raise DataError(f"{place}: {name}: {found}, needed {kind.__name__}", fix=AGAIN)
    return value


def as_number(value: Any) -> float | None:
    """A number as a float, one with too many digits for that as infinite; None if it is none."""
    if not isinstance(value, bool | int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _reason(error: RecursionError | ValueError) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return error.reason if isinstance(error, UnicodeDecodeError) else "a number of too many digits"


def _read(file: Path) -> bytes:
    if not file.is_file():  # a pipe or a device would be read without end
        raise DataError(f"{file}: not a file, needed one", fix=AGAIN)
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{place}: found {type(value).__name__}, needed an object", fix=AGAIN)
    return value
