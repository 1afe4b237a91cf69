"""From plain data to a plan; every fault in our own words, with the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from forgetless.errors import PlanError
from forgetless.plan.budget import BudgetConfig
from forgetless.plan.hosted import HostedConfig, Prices
from forgetless.plan.model import ModelConfig
from forgetless.plan.plan import MethodSpec, Plan
from forgetless.plan.task import TaskConfig
from forgetless.plan.training import TrainingConfig

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
        found = error.errors(include_url=False)
        found.sort(key=lambda item: item["type"] != "extra_forbidden")  # a misspelt key comes first
        faults = [_fault(item) for item in found]
        fixes = [fix for _, fix in faults if fix]
        lines = [f"{where}: {text}" for text, _ in faults]
        raise PlanError("\n".join(lines), fix=fixes[0] if fixes else None) from None
    except RecursionError:
        raise PlanError(f"{where}: refers to itself") from None


def describe(value: object) -> str:
    """A value in a message: its type and how it begins."""
    return "nothing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"


def _valid_keys(location: Sequence[int | str]) -> list[str]:
    config: type[BaseModel] = Plan
    children: dict[str, type[BaseModel]] = {
        "model": ModelConfig,
        "sequence": TaskConfig,
        "test_only": TaskConfig,
        "methods": MethodSpec,
        "budget": BudgetConfig,
        "training": TrainingConfig,
        "hosted": Prices if "prices" in location[:-1] else HostedConfig,
    }
    if len(location) > 1 and location[0] in children:
        config = children[str(location[0])]
    return list(config.model_fields)


_NEEDED = {  # in YAML's words instead of Python's
    "tuple_type": "needed a list",
    "list_type": "needed a list",
    "dict_type": "needed a mapping",
    "model_type": "needed a mapping",
    "string_type": "needed text",
}


def _fault(item: Any) -> tuple[str, str | None]:
    """One pydantic error as (message, fix)."""
    location: tuple[int | str, ...] = item["loc"]
    place = ".".join(str(part) for part in location)
    if item["type"] == "extra_forbidden":
        key, valid = str(location[-1]), _valid_keys(location)
        near = difflib.get_close_matches(key, valid, n=1, cutoff=0.5)
        parent = ".".join(str(part) for part in location[:-1])
        fix = f"did you mean {near[0]!r}?" if near else f"valid keys: {', '.join(valid)}"
        return f"unknown key {key!r}" + (f" in {parent}" if parent else ""), fix
    if item["type"] == "missing":
        return f"{place}: missing", f"add  {location[-1]}: ..."
    message = _NEEDED.get(item["type"], item["msg"].removeprefix("Value error, "))
    message = message[0].lower() + message[1:] if message else message
    if item["type"] == "value_error" or not location:
        return (f"{place}: {message}" if place else message), None
    return f"{place}: found {describe(item['input'])}: {message}", None
