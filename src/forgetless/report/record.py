"""Read typed fields out of decoded JSON, with errors that name the file, the line and the field."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from forgetless.errors import RunFolderError


@dataclass(frozen=True, slots=True)
class Record:
    """One JSON object together with the place it came from.

    Attributes:
        values: The decoded object.
        where: File and line, and the path inside the object, e.g. ``manifest.json: tasks[2]``.
        fix: What to do about a fault, added to every error.
    """

    values: Mapping[str, Any]
    where: str
    fix: str | None = None

    @classmethod
    def parse(cls, text: str, where: str, *, fix: str | None = None) -> Record:
        """Decode one JSON object; ``NaN`` and ``Infinity`` are refused, as JSON refuses them.

        Raises:
            RunFolderError: if the text is not exactly one JSON object.
        """
        try:
            values = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            if isinstance(error, RecursionError):
                reason = "nested too deeply"
            elif "set_int_max_str_digits" in reason:  # advice for programmers
                reason = "a number of too many digits"
            raise RunFolderError(f"{where}: not valid JSON ({reason})", fix=fix) from None
        if not isinstance(values, dict):
            raise RunFolderError(
                f"{where}: found {kind_of_value(values)}, needed an object", fix=fix
            )
        return cls(values, where, fix)

    def text(self, key: str) -> str:
        """A required string."""
        value = self.optional_text(key, required=True)
        return self._fail(key, None, "a string") if value is None else value

    def optional_text(self, key: str, *, required: bool = False) -> str | None:
        """A string, or ``None`` where the field is null (or absent, unless ``required``)."""
        value = self._get(key, required=required)
        if value is not None and not isinstance(value, str):
            self._fail(key, value, "a string")
        return value

    def one_of(self, key: str, allowed: tuple[str, ...]) -> str:
        """A required string out of a fixed set."""
        value = self.text(key)
        if value not in allowed:
            raise RunFolderError(
                f"{self.where}: '{key}' is {value!r}, needed one of {', '.join(allowed)}",
                fix=self.fix,
            )
        return value

    def integer(self, key: str) -> int:
        """A required whole number."""
        value = self.optional_integer(key, required=True)
        return self._fail(key, None, "an integer") if value is None else value

    def optional_integer(self, key: str, *, required: bool = False) -> int | None:
        """A whole number, or ``None``; ``true`` and ``1.5`` are not whole numbers."""
        value = self._get(key, required=required)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self._fail(key, value, "an integer")
        return int(value)

    def optional_number(self, key: str, *, required: bool = False) -> float | None:
        """A finite number, or ``None``."""
        value = self._get(key, required=required)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._fail(key, value, "a number")
        number = as_float(value)
        if not math.isfinite(number):
            self._fail(key, number, "a finite number")
        return number

    def optional_flag(self, key: str) -> bool | None:
        """``true``, ``false`` or ``None``."""
        value = self._get(key)
        if value is not None and not isinstance(value, bool):
            self._fail(key, value, "true or false")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; empty where the field is null or absent."""
        values = self._get(key)
        if values is None:
            return ()
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            self._fail(key, values, "a list of strings")
        return tuple(values)

    def numbers(self, key: str) -> dict[str, float | None]:
        """An object of numbers; empty where the field is null or absent."""
        part = self.optional_record(key)
        return {} if part is None else {name: part.optional_number(name) for name in part.values}

    def settings(self, key: str) -> dict[str, str]:
        """An object of plain values, each as text, for display only."""
        part = self.optional_record(key)
        if part is None:
            return {}
        return {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in part.values.items()
            if value is not None
        }

    def record(self, key: str) -> Record:
        """A required object."""
        value = self.optional_record(key)
        return self._fail(key, None, "an object") if value is None else value

    def optional_record(self, key: str) -> Record | None:
        """An object, or ``None``."""
        value = self._get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self._fail(key, value, "an object")
        return Record(value, f"{self.where}: {key}", self.fix)

    def records(self, key: str) -> Iterator[Record]:
        """A required list of objects, one after the other."""
        values = self._get(key, required=True)
        if not isinstance(values, list):
            self._fail(key, values, "a list of objects")
        for index, value in enumerate(values):
            if not isinstance(value, dict):
                self._fail(f"{key}[{index}]", value, "an object")
            yield Record(value, f"{self.where}: {key}[{index}]", self.fix)

    def _get(self, key: str, *, required: bool = False) -> Any:
        if required and key not in self.values:
            raise RunFolderError(f"{self.where}: '{key}' is missing", fix=self.fix)
        return self.values.get(key)

    def _fail(self, key: str, found: object, needed: str) -> NoReturn:
        raise RunFolderError(
            f"{self.where}: '{key}' is {kind_of_value(found)}, needed {needed}", fix=self.fix
        )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def as_float(number: float) -> float:
    """A decoded JSON number as a float; an integer of too many digits is infinite, as 1e400 is."""
    try:
        return float(number)
    except OverflowError:
        return math.inf


def kind_of_value(value: object) -> str:
    """A decoded JSON value as an error message names it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return f"the string {value[:40]!r}" if isinstance(value, str) else f"the number {value}"
