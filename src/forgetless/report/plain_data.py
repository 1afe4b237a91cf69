"""Dataclasses to plain JSON values and back, by the types of their fields."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from forgetless.errors import RunFolderError
from forgetless.report.record import Record, as_float, kind_of_value

D = TypeVar("D")


def read_document(file: Path, kind: type[D], newest: int, command: str) -> D:
    """Read a dataclass back from the JSON file that one was written to.

    Args:
        file: The file, with ``format`` beside the fields.
        kind: The dataclass.
        newest: The format that this version reads.
        command: What makes the file again, for messages.

    Raises:
        RunFolderError: if it is missing, of another format, or a field is not what it must be.
    """
    fix = f"make it again: {command}"
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{file}: cannot be read ({error})", fix=fix) from None
    record = Record.parse(text, str(file), fix=fix)
    found = record.integer("format")
    if found != newest:
        raise RunFolderError(
            f"{file}: its format is {found}, this version reads format {newest}",
            fix="install the version of forgetless that wrote it, or make it again",
        )
    result: D = PlainReader(str(file), fix).read(kind, record.values)
    return result


def as_plain(value: Any) -> Any:
    """Dataclasses, all the way down, as dictionaries, lists and scalars."""
    if is_dataclass(value):
        return {field.name: as_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: as_plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [as_plain(inner) for inner in value]
    return value


class PlainReader:
    """Builds dataclasses from decoded JSON after the types of their fields.

    Fields that a dataclass does not know are passed over.

    Args:
        where: The file, for messages.
        fix: What to do about a fault.
    """

    def __init__(self, where: str, fix: str) -> None:
        self._where = where
        self._fix = fix

    def read(self, kind: Any, value: Any, place: str = "") -> Any:
        """One value of a type.

        Args:
            kind: A dataclass, ``tuple[X, ...]``, ``Mapping[str, X]`` (or of ``int``),
                ``X | None``, a ``Literal``, ``str``, ``int``, ``float``, ``bool``, or ``Any`` for
                what is taken as it is.
            value: The decoded JSON.
            place: Where it stands in the file, e.g. ``tasks[0].name``.

        Raises:
            RunFolderError: if it is not what it must be, naming the place.
        """
        if kind is Any:
            return value
        if is_dataclass(kind) and isinstance(kind, type):
            return self._dataclass(kind, value, place)
        origin, inner = get_origin(kind), get_args(kind)
        if origin in (Union, UnionType):  # the first where one part is a Literal
            if value is None and NoneType in inner:
                return None
            (some,) = (part for part in inner if part is not NoneType)
            return self.read(some, value, place)
        if origin is Literal:
            if value not in inner:
                self._refuse(place, value, f"one of {', '.join(inner)}")
            return value
        if origin is tuple:
            if not isinstance(value, list):
                self._refuse(place, value, "a list")
            return tuple(self.read(inner[0], v, f"{place}[{i}]") for i, v in enumerate(value))
        if origin is Mapping:
            if not isinstance(value, dict):
                self._refuse(place, value, "an object")
            return {
                self._key(inner[0], key, place): self.read(inner[1], v, f"{place}.{key}")
                for key, v in value.items()
            }
        return self._scalar(kind, value, place)

    def _key(self, kind: type, key: str, place: str) -> Any:
        try:
            return kind(key)
        except ValueError:
            raise RunFolderError(
                f"{self._where}: '{place}' has the key {key[:40]!r}, needed an integer",
                fix=self._fix,
            ) from None

    def _dataclass(self, kind: type, value: Any, place: str) -> Any:
        if not isinstance(value, dict):
            self._refuse(place, value, "an object")
        hints = get_type_hints(kind)
        given = {}
        for field in fields(kind):
            inside = f"{place}.{field.name}" if place else field.name
            if field.name in value:
                given[field.name] = self.read(hints[field.name], value[field.name], inside)
            elif field.default is MISSING and field.default_factory is MISSING:
                raise RunFolderError(f"{self._where}: '{inside}' is missing", fix=self._fix)
        return kind(**given)

    def _scalar(self, kind: type, value: Any, place: str) -> Any:
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = as_float(value)
        if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
            needed = {str: "a string", int: "an integer", float: "a finite number"}
            self._refuse(place, value, needed.get(kind, "true or false"))
        return value

    def _refuse(self, place: str, found: object, needed: str) -> NoReturn:
        raise RunFolderError(
            f"{self._where}: '{place}' is {kind_of_value(found)}, needed {needed}", fix=self._fix
        )
