"""The settings of a config in words: name, values, default and meaning, as its fields say them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from forgetless.plan.budget import BudgetConfig
from forgetless.plan.hosted import HostedConfig, Prices
from forgetless.plan.model import ModelConfig
from forgetless.plan.plan import AUTO, MethodSpec
from forgetless.plan.task import TaskConfig
from forgetless.plan.training import TrainingConfig

REQUIRED = "required"
_WORDS = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
_SECTIONS: dict[type[BaseModel], str] = {
    ModelConfig: "model",
    TaskConfig: "task",
    TrainingConfig: "training",
    MethodSpec: "method",
    BudgetConfig: "budget",
    HostedConfig: "hosted",
    Prices: "prices",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a plan or option of a method.

    Attributes:
        name: The key.
        values: What it may be: ``number``, or the words themselves in backticks.
        section: The part of the plan that it holds, if it is a part: ``model``, ``task`` and so on.
        default: As one would write it in YAML; ``required`` if there is none.
        meaning: What it does.
    """

    name: str
    values: str
    section: str | None
    default: str
    meaning: str


def described(config: type[BaseModel]) -> list[Setting]:
    """Every setting of a config, in the order of its fields.

    Example:
        >>> [found] = [s for s in described(TrainingConfig) if s.name == "schedule"]
        >>> found.values, found.default
        ('`linear` | `cosine` | `constant`', 'linear')
    """
    return [
        Setting(
            name=name,
            values=_values(field.annotation),
            section=_section(field.annotation),
            default=REQUIRED if field.is_required() else _default(field),
            meaning=field.description or "",
        )
        for name, field in config.model_fields.items()
    ]


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        return "{}"
    if value == (MethodSpec(name=AUTO),):
        return AUTO
    return value if isinstance(value, str) and value else json.dumps(value)


def _values(annotation: Any) -> str:
    arguments = _arguments(annotation)
    if get_origin(annotation) is not None and all(isinstance(a, str) for a in arguments):
        return " | ".join(f"`{a}`" for a in arguments)
    if get_origin(annotation) is tuple:
        return f"list of {_values(arguments[0])}"
    if get_origin(annotation) is dict:
        return "mapping"
    if len(arguments) > 1:
        return " or ".join(_values(a) for a in arguments)
    if arguments:
        return "list" if get_origin(annotation) is list else _values(arguments[0])
    return _SECTIONS.get(annotation) or _WORDS.get(annotation.__name__, annotation.__name__)


def _section(annotation: Any) -> str | None:
    if annotation in _SECTIONS:
        return _SECTIONS[annotation]
    found = (_section(a) for a in _arguments(annotation) if not isinstance(a, str))
    return next((section for section in found if section), None)


def _arguments(annotation: Any) -> list[Any]:
    return [a for a in get_args(annotation) if a is not type(None)]
