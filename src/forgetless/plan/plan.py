"""A whole plan, and what of it decides the results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, field_validator, model_validator

from forgetless.plan.base import Config
from forgetless.plan.budget import BudgetConfig
from forgetless.plan.hosted import HostedConfig
from forgetless.plan.model import ModelConfig
from forgetless.plan.sources import ENDPOINT
from forgetless.plan.task import TaskConfig
from forgetless.plan.training import TrainingConfig

AUTO = "auto"  # among methods: what the measurements recommend
# Those of a provider that change neither weights nor scores.
_FOR_THE_USER = {"poll_every", "prices"}


class MethodSpec(Config):
    """A method by name, with its options."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, Mapping) and value and "name" not in value:
            name, *others = value
            if others:
                raise ValueError(
                    f"found {name!r} and {others[0]!r} side by side, needed one method: indent its "
                    f"options below {name!r}, and begin each further method with a dash"
                )
            options = value[name]
            if options is not None and not isinstance(options, Mapping):
                raise ValueError(
                    f"options of {name} must be a mapping such as {{ratio: 0.1}}, not {options!r}"
                )
            return {"name": name, "options": dict(options or {})}
        return value


class Plan(Config):
    """A whole experiment.

    Example:
        >>> plan = Plan(model="my-model", sequence=["medical.jsonl", "legal.jsonl"])
        >>> [task.name for task in plan.sequence]
        ['medical', 'legal']
    """

    model: ModelConfig = Field(description="the model that is fine-tuned")
    sequence: tuple[TaskConfig, ...] = Field(
        description="tasks in the order in which they are trained"
    )
    test_only: tuple[TaskConfig, ...] = Field(
        default=(), description="tasks that are only tested: what the model should keep anyway"
    )
    methods: tuple[MethodSpec, ...] = Field(
        default=(MethodSpec(name=AUTO),),
        description="ways of not forgetting; auto: what the measurements recommend; an empty list: "
        "plain sequential fine-tuning",
    )
    budget: BudgetConfig | None = Field(
        default=None, description="the loss that is accepted, e.g. 2%; none: nothing is steered"
    )
    training: TrainingConfig = Field(
        default=TrainingConfig(), description="how every stage is trained and scored"
    )
    hosted: HostedConfig | None = Field(
        default=None, description="settings of a model that a provider fine-tunes (openai:NAME)"
    )
    ask: tuple[str, ...] = Field(
        default=(),
        description="questions put to the model after every stage, answers kept as they are",
    )
    output: str = Field(
        default="runs/run",
        description="run folder; in a plan file, runs/ and the name of the file: runs/plan",
    )

    @field_validator("output")
    @classmethod
    def _has_a_folder(cls, output: str) -> str:
        if not output.strip():
            raise ValueError("found no name, needed a folder for the run")
        return output

    @field_validator("ask")
    @classmethod
    def _asks_something(cls, ask: tuple[str, ...]) -> tuple[str, ...]:
        if not all(question.strip() for question in ask):
            raise ValueError("found a question without words, needed text")
        return ask

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            value = {key: inner for key, inner in value.items() if inner is not None}
            if isinstance(value.get("model"), str | Path):
                value["model"] = {"name": value["model"]}
            if isinstance(value.get("methods"), str):
                value["methods"] = [value["methods"]]
            if isinstance(value.get("budget"), str | int | float):
                value["budget"] = {"loss": value["budget"]}
            if isinstance(value.get("test_only"), list | tuple):
                value["test_only"] = [
                    {"test": str(task)} if isinstance(task, str | Path) else task
                    for task in value["test_only"]
                ]
        return value

    @model_validator(mode="after")
    def _tasks_make_a_sequence(self) -> Self:
        if not self.sequence:
            raise ValueError("sequence is empty, needed at least one task")
        sequence = tuple(task.named() for task in self.sequence)
        test_only = tuple(task.named() for task in self.test_only)
        seen: set[str] = set()
        for task in (*sequence, *test_only):
            if task.name.lower() in seen:
                raise ValueError(
                    f"two tasks are named {task.name!r}: give one of them a name, in a "
                    "plan by  name: OTHER, for  init  by  OTHER=FILE"
                )
            seen.add(task.name.lower())
        for number, task in enumerate(sequence, start=1):
            if task.train is None:
                raise ValueError(f"task {number} {task.name!r} of the sequence has no train source")
        if self.budget is not None:
            names = [task.name for task in (*sequence, *test_only)]
            for name in self.budget.tasks:
                if name not in names:
                    raise ValueError(
                        f"budget.tasks names {name!r}; the tasks are {', '.join(names)}"
                    )
        if self.model.name.startswith(ENDPOINT):
            object.__setattr__(self, "hosted", self.hosted or HostedConfig())
        elif self.hosted is not None:
            raise ValueError(
                f"hosted is for a model named {ENDPOINT}NAME, the model is {self.model.name}"
            )
        object.__setattr__(self, "sequence", sequence)
        object.__setattr__(self, "test_only", test_only)
        return self

    @property
    def tasks(self) -> tuple[TaskConfig, ...]:
        """All tasks that are tested, the trained ones first."""
        return self.sequence + self.test_only

    def resolved(self) -> dict[str, Any]:
        """The plan as plain data with every default written out."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """The resolved plan as YAML; :func:`load_plan` reads it back."""
        resolved = self.resolved()
        text = yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True)
        if yaml.safe_load(text) == resolved:
            return text
        return yaml.safe_dump(resolved, sort_keys=False)  # PyYAML loses some line breaks unescaped

    def decisive(self) -> dict[str, Any]:
        """The part of :meth:`resolved` that decides the results; where they are written is not."""
        without: dict[str, Any] = {
            "output": True,
            "sequence": {"__all__": {"licence"}},
            "test_only": {"__all__": {"licence"}},
            "training": True,
            "hosted": _FOR_THE_USER,
        }
        found = self.model_dump(mode="json", exclude=without)
        found["training"] = self.training.decisive()
        # plans had the same fingerprint before these were known
        if self.hosted is None:
            del found["hosted"]
        for task in (*found["sequence"], *found["test_only"]):
            if not task["memory"]:
                del task["memory"]
        return found

    def fingerprint(self) -> str:
        """SHA-256 of all that decides the results."""
        return hashlib.sha256(json.dumps(self.decisive(), sort_keys=True).encode()).hexdigest()
