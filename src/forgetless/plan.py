"""The plan: model, sequence of tasks, methods, training settings; validated before anything loads.

A plan is written as YAML or built in Python; both end in the same frozen :class:`Plan`.  Unknown
keys are refused with the nearest valid one.  Options of methods are checked by
``forgetless.methods``, which knows them.  The resolved plan, every default written out, is saved
with the results.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from forgetless.errors import PlanError

Scorer = Literal["auto", "multiple_choice", "exact_match", "contains", "token_f1", "nll"]
Rendering = Literal["auto", "chat", "plain"]

BUNDLED = "bundled:"
HUB = "hub:"
DATA_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class Config(BaseModel):
    """A frozen part of the plan; unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class ModelConfig(Config):
    """Which model, and how to load it."""

    name: str = Field(
        description="a hub name, a folder, an adapter folder, a .gguf file, or "
        "bundled:smollm2-135m-instruct"
    )
    revision: str | None = Field(None, description="hub revision (branch, tag or commit)")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="type of the weights; auto: float32 on a CPU, as saved on an accelerator",
    )
    attention: str | None = Field(None, description="attention implementation, e.g. sdpa or eager")
    trust_remote_code: bool = Field(False, description="run code that the model folder brings")


class TaskConfig(Config):
    """One task: what it is trained on, what it is tested on, and how it is scored."""

    name: str = Field("", description="unique name; from the source's file name when left out")
    train: str | None = Field(
        None, description="training rows: file, folder, hub dataset (hub:NAME) or bundled:NAME"
    )
    test: str | None = Field(None, description="test items; held out of the training rows if none")
    hold_out: float = Field(
        0.1, gt=0, lt=1, description="share of the training rows held out when there is no test"
    )
    split: str = Field("train", description="split of a hub dataset that holds the training rows")
    test_split: str = Field("test", description="split of a hub dataset that holds the test items")
    fields: dict[str, str] = Field(
        default_factory=dict, description="our field name to yours, e.g. {prompt: question_text}"
    )
    score: Scorer = Field("auto", description="how a test item is scored")
    normalise: bool = Field(
        False,
        description="multiple choice: pick by log-likelihood per character instead of the sum",
    )
    render: Rendering = Field(
        "auto", description="chat template or plain text; auto: chat if the model has a template"
    )
    system: str | None = Field(
        None, description="system turn put first in chat; none: what the template does by itself"
    )
    shots: int = Field(0, ge=0, description="worked examples put before each test item")
    max_new_tokens: int = Field(64, ge=1, description="longest answer that is generated, in tokens")
    limit: int | None = Field(None, ge=1, description="use only the first so many test items")
    train_limit: int | None = Field(None, ge=1, description="train on the first so many rows")

    @field_validator("name")
    @classmethod
    def _name_is_a_file_name(cls, name: str) -> str:
        if name and not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} cannot name a folder: use letters, digits, '-', '_' and '.' only"
            )
        return name

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"train": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if self.train is None and self.test is None:
            raise ValueError("a task needs train, test or both")
        return self

    def named(self) -> TaskConfig:
        """The same task with a name, taken from its source where none was given."""
        if self.name:
            return self
        source = self.train or self.test or ""
        stem = source.removeprefix(BUNDLED).removeprefix(HUB).rstrip("/").split("/")[-1]
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", stem.split(".")[0]).strip("_")
        return self.model_copy(update={"name": name or "task"})


class TrainingConfig(Config):
    """How one stage is trained; the same for every stage."""

    epochs: float = Field(3, gt=0, description="passes over a stage's new rows")
    steps: int | None = Field(None, ge=1, description="optimiser steps; replaces epochs")
    learning_rate: float = Field(1e-4, gt=0, description="peak learning rate of AdamW")
    batch_size: int = Field(8, ge=1, description="rows in one forward pass")
    accumulation: int = Field(1, ge=1, description="forward passes in one optimiser step")
    max_length: int = Field(1024, ge=8, description="longest row, in tokens")
    too_long: Literal["error", "drop", "truncate"] = Field(
        "error", description="what happens to training rows longer than max_length"
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear", description="learning rate after the warm-up"
    )
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps with a rising rate")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's decoupled weight decay")
    max_grad_norm: float = Field(1.0, ge=0, description="gradient norm clipped to; 0: not clipped")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="arithmetic of the forward pass; auto: bfloat16 on an accelerator"
    )
    gradient_checkpointing: bool = Field(False, description="less memory for about 1.3x the time")
    checkpoint_every: int = Field(200, ge=1, description="optimiser steps between checkpoints")
    scoring_batch_size: int = Field(32, ge=1, description="sequences in one scoring pass")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where to compute")
    seed: int = Field(0, ge=0, description="seed of everything that is drawn")


class MethodSpec(Config):
    """A method by name, with its options."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, Mapping) and len(value) == 1 and "name" not in value:
            ((name, options),) = value.items()
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
        min_length=1, description="tasks in the order in which they are trained"
    )
    test_only: tuple[TaskConfig, ...] = Field(
        (), description="tasks that are only tested: what the model should keep anyway"
    )
    methods: tuple[MethodSpec, ...] = Field(
        (), description="ways of not forgetting; none: plain sequential fine-tuning"
    )
    training: TrainingConfig = Field(
        default_factory=TrainingConfig, description="how every stage is trained and scored"
    )
    ask: tuple[str, ...] = Field(
        (), description="questions put to the model after every stage, answers kept as they are"
    )
    output: str = Field("runs/run", description="run folder")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            value = dict(value)
            if isinstance(value.get("model"), str):
                value["model"] = {"name": value["model"]}
            for key in ("sequence", "test_only", "methods"):
                if value.get(key) is None:
                    value.pop(key, None)
        return value

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        sequence = tuple(task.named() for task in self.sequence)
        test_only = tuple(task.named() for task in self.test_only)
        seen: set[str] = set()
        for task in (*sequence, *test_only):
            if task.name.lower() in seen:
                raise ValueError(f"two tasks are named {task.name!r}: give one of them a name")
            seen.add(task.name.lower())
        for number, task in enumerate(sequence, start=1):
            if task.train is None:
                raise ValueError(f"task {number} {task.name!r} of the sequence has no train source")
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
        return yaml.safe_dump(self.resolved(), sort_keys=False, allow_unicode=True)

    def fingerprint(self) -> str:
        """SHA-256 of all that decides the results; where they are written does not."""
        content = {key: value for key, value in self.resolved().items() if key != "output"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class _Loader(yaml.SafeLoader):
    """YAML without duplicate keys: the later one would silently win."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)  # type: ignore[no-untyped-call]
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(
                None, None, f"found the key {key!r}, needed text", key_node.start_mark
            )
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"found the key {key!r} twice", key_node.start_mark
            )
        seen.add(key)
    mapping: dict[Any, Any] = loader.construct_mapping(node, deep=True)
    return mapping


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load_plan(path: Path, overrides: Sequence[str] = ()) -> Plan:
    """Read and validate a plan file.

    Args:
        path: A YAML file.  Paths of data and models in it are relative to its folder.
        overrides: ``key=value`` settings that replace keys, e.g. ``training.learning_rate=5e-5``
            or ``sequence.0.train=other.jsonl``.

    Raises:
        PlanError: naming the file, the key, what was found and what was needed.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise PlanError(
            f"{path}: no such plan file", fix=f"write one:  forgetless init DATA -o {path}"
        ) from None
    except IsADirectoryError:
        raise PlanError(f"{path}: a folder, needed a plan file (YAML)") from None
    except UnicodeDecodeError as error:
        raise PlanError(
            f"{path}: not UTF-8 text (byte {error.start})", fix="save the file as UTF-8"
        ) from None
    except OSError as error:
        raise PlanError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        data = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise PlanError(f"{path}: not valid YAML: {_yaml_fault(error)}") from None
    except RecursionError:
        raise PlanError(f"{path}: nested too deeply to be a plan") from None
    if not isinstance(data, dict):
        raise PlanError(
            f"{path}: found {_describe(data)}, needed a mapping with at least model and sequence",
            fix="see a commented one:  forgetless init --help",
        )
    for override in overrides:
        _override(data, override)
    data.setdefault("output", f"runs/{path.stem}")
    plan = make_plan(data, where=str(path))
    return _anchored(plan, path.resolve().parent)


def make_plan(data: Mapping[str, Any], where: str = "plan") -> Plan:
    """Validate plain data into a plan, with our own messages.

    Raises:
        PlanError: listing every fault, with the nearest valid name for an unknown key.
    """
    try:
        return Plan.model_validate(dict(data))
    except ValidationError as error:
        faults = [_fault(item) for item in error.errors(include_url=False)]
        fixes = [fix for _, fix in faults if fix]
        lines = [f"{where}: {text}" for text, _ in faults]
        raise PlanError("\n".join(lines), fix=fixes[0] if fixes else None) from None
    except RecursionError:
        raise PlanError(f"{where}: refers to itself") from None


def _yaml_fault(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).split("\n")[0]
    return f"line {mark.line + 1}: {problem}" if mark is not None else str(problem)


def _describe(value: object) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"


def _valid_keys(location: Sequence[int | str]) -> list[str]:
    config: type[BaseModel] = Plan
    children: dict[str, type[BaseModel]] = {
        "model": ModelConfig,
        "sequence": TaskConfig,
        "test_only": TaskConfig,
        "methods": MethodSpec,
        "training": TrainingConfig,
    }
    if len(location) > 1 and location[0] in children:
        config = children[str(location[0])]
    return list(config.model_fields)


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
    message = item["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:] if message else message
    if item["type"] == "value_error" or not location:
        return (f"{place}: {message}" if place else message), None
    return f"{place}: found {_describe(item['input'])}: {message}", None


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise PlanError(
            f"--set {override}: needed KEY=VALUE", fix="e.g.  --set training.learning_rate=5e-5"
        )
    try:
        value = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise PlanError(f"--set {override}: {_yaml_fault(error)}") from None
    if key.startswith("model.") and isinstance(data.get("model"), str):
        data["model"] = {"name": data["model"]}
    target: Any = data
    *parents, last = key.split(".")
    for depth, part in enumerate(parents):
        if isinstance(target, list):
            target = target[_index(target, part, override)]
        elif isinstance(target, dict):
            target = target.setdefault(part, {})
        if not isinstance(target, dict | list):
            place = ".".join(parents[: depth + 1])
            raise PlanError(f"--set {override}: {place} is {_describe(target)}, not a mapping")
    if isinstance(target, list):
        target[_index(target, last, override)] = value
    else:
        target[last] = value


def _index(target: list[Any], part: str, override: str) -> int:
    if not part.isdecimal() or int(part) >= len(target):
        raise PlanError(
            f"--set {override}: found {part!r}, needed a number from 0 to {len(target) - 1}"
        )
    return int(part)


def _anchored(plan: Plan, folder: Path) -> Plan:
    """The plan with local paths made absolute, so that it means the same from anywhere."""

    def source(text: str | None) -> str | None:
        if text is None or text.startswith((BUNDLED, HUB)):
            return text
        local = folder / Path(text).expanduser()
        looks_like_hub = _HUB_NAME.fullmatch(text) and local.suffix not in DATA_SUFFIXES
        return HUB + text if looks_like_hub and not local.exists() else str(local)

    def task(config: TaskConfig) -> TaskConfig:
        return config.model_copy(
            update={"train": source(config.train), "test": source(config.test)}
        )

    local = folder / Path(plan.model.name).expanduser()
    name = str(local) if local.exists() and not plan.model.name.startswith(BUNDLED) else None
    return plan.model_copy(
        update={
            "model": plan.model.model_copy(update={"name": name or plan.model.name}),
            "sequence": tuple(task(config) for config in plan.sequence),
            "test_only": tuple(task(config) for config in plan.test_only),
            "output": str(folder / Path(plan.output).expanduser()),
        }
    )
