"""From plain data to a plan; every fault in our own words, with the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, NamedTuple, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from forgetless.errors import PlanError, UsageError
from forgetless.plan.plan import Plan

C = TypeVar("C", bound=BaseModel)


def make_plan(data: Mapping[str, Any], where: str = "plan") -> Plan:
    """Validate plain data into a plan, with our own messages.

    Raises:
        PlanError: listing every fault, with the nearest valid name for an unknown key.
    """
    return make_part(Plan, data, where)


def make_part(part: type[C], data: Mapping[str, Any], where: str) -> C:
    """Validate plain data into a plan, or into one of its parts.

    Raises:
        PlanError: as :func:`make_plan`.
    """
    try:
        return part.model_validate(dict(data))
    except ValidationError as error:
        faults = [_told(part, item) for item in _faults(error)]
        fixes = [fix for _, fix in faults if fix]
        lines = [f"{where}: {text}" for text, _ in faults]
        raise PlanError("\n".join(lines), fix=fixes[0] if fixes else None) from None
    except RecursionError:
        raise PlanError(f"{where}: refers to itself") from None


def check_counts(where: str, needed: Mapping[str, object], optional: Mapping[str, object]) -> None:
    """Make sure that arguments that count something are whole numbers from 1, NumPy's among them.

    Args:
        where: Who was given them, for messages.
        needed: Those that must be given, by name.
        optional: Those that may be None.

    Raises:
        UsageError: naming the first that is not.
    """
    given = {name: count for name, count in optional.items() if count is not None}
    for name, count in {**needed, **given}.items():
        if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
            raise UsageError(f"{where}: {name} is {count!r}, needed a whole number from 1")


def describe(value: object) -> str:
    """A value in a message: its type and how it begins."""
    return "nothing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"


class Fault(NamedTuple):
    """The first thing wrong with settings, a misspelt key before others.

    Attributes:
        key: Where, with dots; empty if it is the whole.
        found: What stood there.
        message: What was needed, beginning with a small letter.
        unknown: Whether there is no such key.
    """

    key: str
    found: Any
    message: str
    unknown: bool

    @classmethod
    def first(cls, error: ValidationError) -> Self:
        """Of what pydantic found."""
        item = _faults(error)[0]
        unknown = item["type"] == "extra_forbidden"
        return cls(".".join(map(str, item["loc"])), item["input"], _message(item), unknown)


def nearest(key: str, valid: Sequence[str]) -> str:
    """What to type instead of an unknown key.

    >>> nearest("epoch", ["epochs", "steps"])
    "did you mean 'epochs'?"
    >>> nearest("zeal", ["epochs", "steps"])
    'valid keys: epochs, steps'
    """
    near = difflib.get_close_matches(key, valid, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"valid keys: {', '.join(valid)}"


def _faults(error: ValidationError) -> list[Any]:
    found = error.errors(include_url=False)
    return sorted(found, key=lambda item: item["type"] != "extra_forbidden")


def _message(item: Any) -> str:
    message: str = _NEEDED.get(item["type"], item["msg"].removeprefix("Value error, "))
    return message[:1].lower() + message[1:]


def _meant(part: type[BaseModel], location: Sequence[int | str]) -> str:
    """What to type instead of the unknown key at the end of a location."""
    *parents, key = location
    for parent in parents:
        if isinstance(parent, str):
            part = _part_in(part.model_fields[parent].annotation) or part
    within = _within(part, str(key))
    return f"did you mean {within!r}?" if within else nearest(str(key), list(part.model_fields))


def _within(part: type[BaseModel], key: str) -> str | None:
    """Where the parts of a part have a key, with dots; of a list the first stands for all."""
    for name, field in part.model_fields.items():
        inner = _part_in(field.annotation)
        if inner is None:
            continue
        place = f"{name}.0" if get_origin(field.annotation) is tuple else name
        found = key if key in inner.model_fields else _within(inner, key)
        if found:
            return f"{place}.{found}"
    return None


def _part_in(annotation: Any) -> type[BaseModel] | None:
    """The model in the type of a field:  M,  M | None,  tuple[M, ...]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_part_in, get_args(annotation))), None)


_NEEDED = {  # in YAML's words instead of Python's
    "tuple_type": "needed a list",
    "list_type": "needed a list",
    "dict_type": "needed a mapping",
    "model_type": "needed a mapping",
    "string_type": "needed text",
}


def _told(part: type[BaseModel], item: Any) -> tuple[str, str | None]:
    """One pydantic error as (message, fix)."""
    location: tuple[int | str, ...] = item["loc"]
    place = ".".join(map(str, location))
    if item["type"] == "extra_forbidden":
        parent = ".".join(map(str, location[:-1]))
        key = str(location[-1])
        message = f"unknown key {key!r}" + (f" in {parent}" if parent else "")
        return message, _meant(part, location)
    if item["type"] == "missing":
        return f"{place}: missing", f"add  {location[-1]}: ..."
    message = _message(item)
    if item["type"] == "value_error" or not location:
        return (f"{place}: {message}" if place else message), None
    return f"{place}: found {describe(item['input'])}: {message}", None
