"""An audit as JSON, and back: ``audit.json`` holds everything, so that it can be shown anew.

Format 1: the fields of :class:`~forgetless.auditing.result.Audit` by their names, all the way down,
and before them::

    format     1; raised when a field changes its meaning or goes
    gate       kept, broken, inconclusive or failed
    exit_code  what the command ended with: 0, 3, 4 or 1
    line       the outcome in one line

What was not measured is null, with the reason beside it; never 0 and never NaN.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from forgetless.auditing.result import Audit
from forgetless.errors import RunFolderError
from forgetless.report.audit.phrases import gate_line
from forgetless.report.record import Record, kind_of_value

FORMAT = 1
NAME = "audit.json"


def audit_document(audit: Audit) -> dict[str, Any]:
    """The audit as plain JSON values.

    Args:
        audit: What was found.
    """
    return {
        "format": FORMAT,
        "gate": audit.gate,
        "exit_code": audit.exit_code,
        "line": gate_line(audit),
        **_plain(audit),
    }


def render_audit_json(audit: Audit) -> str:
    """The audit as the text of a JSON file; one that any JSON reader accepts.

    Raises:
        ValueError: if a number in it is not finite.
    """
    # ASCII only: a lone surrogate in a model's output has no other way into a file.
    return json.dumps(audit_document(audit), indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def read_audit(path: Path) -> Audit:
    """Read an audit back; it equals the one that was written.

    Fields that this version does not know are passed over.

    Args:
        path: The file, or the folder that holds it as ``audit.json``.

    Raises:
        RunFolderError: if there is none, it is of a later format, or a field is not what it must
            be; the message names the field.
    """
    file = path / NAME if path.is_dir() else path
    fix = "make it again: forgetless audit BEFORE AFTER --output FOLDER"
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{file}: cannot be read ({error})", fix=fix) from None
    record = Record.parse(text, str(file), fix=fix)
    found = record.integer("format")
    if found != FORMAT:
        raise RunFolderError(
            f"{file}: its format is {found}, this version reads format {FORMAT}",
            fix="install the version of forgetless that wrote it, or make it again",
        )
    audit = _Reader(str(file), fix).read(Audit, record.values, "")
    assert isinstance(audit, Audit)
    labels, tasks = {after.label for after in audit.afters}, {task.name for task in audit.tasks}
    told = {found.after for found in audit.comparisons}
    judged = {verdict.task for found in audit.comparisons for verdict in found.verdicts}
    if not told or told != labels or not judged <= tasks:
        raise RunFolderError(
            f"{file}: its comparisons are not of the models and tasks that it names", fix=fix
        )
    return audit


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    return value


class _Reader:
    """Builds dataclasses from decoded JSON after the types of their fields."""

    def __init__(self, where: str, fix: str) -> None:
        self._where = where
        self._fix = fix

    def read(self, kind: Any, value: Any, place: str) -> Any:
        """One value of a type.

        Args:
            kind: A dataclass, ``tuple[X, ...]``, ``Mapping[str, X]``, ``X | None``, a ``Literal``,
                ``str``, ``int``, ``float`` or ``bool``.
            value: The decoded JSON.
            place: Where it stands in the file, e.g. ``tasks[0].name``.
        """
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
            return {key: self.read(inner[1], v, f"{place}.{key}") for key, v in value.items()}
        return self._scalar(kind, value, place)

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
            value = float(value)
        if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
            needed = {str: "a string", int: "an integer", float: "a finite number"}
            self._refuse(place, value, needed.get(kind, "true or false"))
        return value

    def _refuse(self, place: str, found: object, needed: str) -> NoReturn:
        raise RunFolderError(
            f"{self._where}: '{place}' is {kind_of_value(found)}, needed {needed}", fix=self._fix
        )
