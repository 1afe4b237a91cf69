"""What a plan may say: each setting once, with its type, default, bounds and meaning."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from forgetless.errors import PlanError
from forgetless.plan.base import Config
from forgetless.plan.hosted import HostedConfig
from forgetless.plan.shares import Share

Scorer = Literal[
    "auto", "multiple_choice", "exact_match", "contains", "token_f1", "number", "nll", "rules"
]
Rendering = Literal["auto", "chat", "plain"]
# Of what transformers' Trainer reports to: those that take numbers, by the package of that name.
Tracker = Literal[
    "tensorboard",
    "wandb",
    "mlflow",
    "trackio",
    "comet_ml",
    "neptune",
    "clearml",
    "dvclive",
    "swanlab",
]

BUNDLED = "bundled:"
BUILTIN = "builtin:"  # another spelling of it, at home with --task
HUB = "hub:"
HUB_NAME = re.compile(r"(?:\w[\w.-]*/)?\w[\w.-]*", re.ASCII)  # of a model or dataset
ENDPOINT = "openai:"  # a model that a provider keeps
AUTO = "auto"  # among methods: what the measurements recommend
DATA_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")
# Settings of training that change no weights: runs that differ in them alone share their work.
_WITHOUT_EFFECT = {"checkpoint_every", "scoring_batch_size", "report_to"}
# Those of a provider that change neither weights nor scores.
_FOR_THE_USER = {"poll_every", "prices"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
LONGEST_NAME = 100  # characters; stages, and what belongs to them, are named after tasks


def hub_dataset(source: str) -> tuple[str, str | None]:
    """Name and revision, if one is given, of ``hub:NAME`` or ``hub:NAME@REVISION``."""
    name, _, revision = source.removeprefix(HUB).partition("@")
    return name, revision or None


class ModelConfig(Config):
    """Which model, and how to load it."""

    name: str = Field(
        description="a hub name, a folder, an adapter folder, a .gguf file, "
        "bundled:smollm2-135m-instruct, or openai:NAME for a model that a provider fine-tunes"
    )
    revision: str | None = Field(default=None, description="hub revision (branch, tag or commit)")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="type of the weights; auto: as saved on CUDA, float32 elsewhere",
    )
    attention: str | None = Field(
        default=None,
        description="attention implementation (attn_implementation), e.g. sdpa, eager or "
        "flash_attention_2; none: what transformers takes",
    )
    quantization: Literal["4bit", "8bit"] | None = Field(
        default=None,
        description="keep the weights in 4 bits (NF4) or 8 (LLM.int8); an adapter on them is "
        "trained. Needs the extra forgetless[quantized]",
    )
    trust_remote_code: bool = Field(
        default=False, description="run code that the model folder brings"
    )

    @field_validator("name")
    @classmethod
    def _has_a_name(cls, name: str) -> str:
        if not name.strip():
            raise ValueError("found no name, needed a hub name, a folder or a file")
        return name


class TaskConfig(Config):
    """One task: what it is trained on, what it is tested on, and how it is scored."""

    name: str = Field(
        default="", description="unique name; from the source's file name when left out"
    )
    train: str | None = Field(
        default=None,
        description="training rows: file, folder, hub dataset (hub:NAME or hub:NAME@REVISION) or "
        "bundled:NAME",
    )
    test: str | None = Field(
        default=None, description="test items; held out of the training rows if none"
    )
    hold_out: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="share of the training rows held out when there is no test",
    )
    split: str = Field(
        default="train", description="split of a hub dataset that holds the training rows"
    )
    test_split: str = Field(
        default="test", description="split of a hub dataset that holds the test items"
    )
    fields: dict[str, str] = Field(
        default_factory=dict, description="our field name to yours, e.g. {prompt: question_text}"
    )
    score: Scorer = Field(default="auto", description="how a test item is scored")
    normalise: bool = Field(
        default=False,
        description="multiple choice: pick by log-likelihood per character instead of the sum",
    )
    choose_by: Literal["text", "letter"] = Field(
        default="text",
        description="multiple choice: score the text of each choice, or list the choices in the "
        "prompt and score their letters",
    )
    render: Rendering = Field(
        default="auto",
        description="chat template or plain text; auto: chat if the model has a template",
    )
    system: str | None = Field(
        default=None,
        description="system turn put first in chat; none: what the template does by itself",
    )
    shots: int = Field(default=0, ge=0, description="worked examples put before each test item")
    max_new_tokens: int = Field(
        default=64, ge=1, description="longest answer that is generated, in tokens"
    )
    limit: int | None = Field(
        default=None, ge=1, description="use only the first so many test items"
    )
    train_limit: int | None = Field(
        default=None, ge=1, description="train on the first so many rows"
    )
    licence: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="licence of the training rows, told by model cards; if none, the one that a "
        "bundled task or the card of a hub dataset names",
    )

    @field_validator("name")
    @classmethod
    def _name_is_a_file_name(cls, name: str) -> str:
        if name and not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} cannot name a folder: use letters, digits, '-', '_' and '.' only"
            )
        if len(name) > LONGEST_NAME:
            raise ValueError(
                f"{name[:20] + '...'!r} has {len(name)} characters, needed {LONGEST_NAME} at most"
            )
        return name

    @field_validator("train", "test")
    @classmethod
    def _one_spelling(cls, source: str | None) -> str | None:
        if source is not None and not source.strip():
            raise ValueError("found no name, needed a file, a folder, hub:NAME or bundled:NAME")
        if source is not None and source.startswith(BUILTIN):
            return BUNDLED + source.removeprefix(BUILTIN)
        return source

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"train": str(value)} if isinstance(value, str | Path) else value

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
        if source.startswith(HUB):
            source = source.partition("@")[0]  # what follows is a revision
        stem = source.removeprefix(BUNDLED).removeprefix(HUB).rstrip("/").split("/")[-1]
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", stem.split(".")[0]).strip("_-")
        return self.model_copy(update={"name": name[:LONGEST_NAME] or "task"})


class TrainingConfig(Config):
    """How one stage is trained; the same for every stage."""

    epochs: float = Field(default=3, gt=0, description="passes over a stage's new rows")
    equal_tokens: bool = Field(
        default=False,
        description="rehearsed rows take the place of new ones, so that a stage learns as many "
        "tokens with rehearsal as without",
    )
    steps: int | None = Field(default=None, ge=1, description="optimiser steps; replaces epochs")
    learning_rate: float = Field(default=1e-4, gt=0, description="peak learning rate of AdamW")
    batch_size: int = Field(default=8, ge=1, description="rows in one forward pass")
    accumulation: int = Field(default=1, ge=1, description="forward passes in one optimiser step")
    max_length: int = Field(default=1024, ge=8, description="longest row, in tokens")
    too_long: Literal["error", "drop", "truncate"] = Field(
        default="error", description="what happens to training rows longer than max_length"
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        default="linear", description="learning rate after the warm-up"
    )
    warmup: float = Field(
        default=0.1, ge=0, lt=1, description="share of the steps with a rising rate"
    )
    weight_decay: float = Field(default=0.0, ge=0, description="AdamW's decoupled weight decay")
    max_grad_norm: float = Field(
        default=1.0, ge=0, description="gradient norm clipped to; 0: not clipped"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="arithmetic of the forward pass; auto: bfloat16 on CUDA, float32 elsewhere",
    )
    gradient_checkpointing: bool = Field(
        default=False, description="less memory for about 1.3x the time"
    )
    checkpoint_every: int = Field(
        default=200, ge=1, description="optimiser steps between checkpoints"
    )
    scoring_batch_size: int = Field(default=32, ge=1, description="sequences in one scoring pass")
    report_to: tuple[Tracker, ...] = Field(
        default=(), description="trackers that get every step, and the scores after every stage"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto", description="where to compute"
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="seed of everything that is drawn")
    hold_out_seed: int | None = Field(
        default=None,
        ge=0,
        lt=2**32,
        description="seed of the rows that are held out as test items; none: as seed",
    )

    @property
    def rows_per_step(self) -> int:
        """Rows that an optimiser step learns from, over all processes."""
        return self.batch_size * self.accumulation

    def batch_of(self, processes: int) -> tuple[int, int]:
        """Rows in one forward pass of each process, and its passes in one optimiser step.

        As few passes as there can be with no more rows at a time than in one process.

        Raises:
            PlanError: if so many processes cannot share the rows of a step.

        Example:
            >>> TrainingConfig(batch_size=4, accumulation=4).batch_of(2)
            (4, 2)
        """
        rows, odd = divmod(self.rows_per_step, processes)
        if odd or not rows:
            raise PlanError(
                f"training: a step has {self.rows_per_step} rows (batch_size x accumulation), "
                f"which {processes} processes cannot share equally",
                fix=f"--set training.accumulation={processes}",
            )
        size = next(size for size in range(min(rows, self.batch_size), 0, -1) if not rows % size)
        return size, rows // size

    @property
    def split_seed(self) -> int:
        """Decides which rows are held out."""
        return self.seed if self.hold_out_seed is None else self.hold_out_seed

    def in_bfloat16(self, device: str) -> bool:
        """Whether the forward pass computes in bfloat16 on a device."""
        return self.precision == "bfloat16" or (self.precision == "auto" and device == "cuda")


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


class BudgetConfig(Config):
    """How much may be lost while something new is learned."""

    loss: Share = Field(
        gt=0,
        lt=1,
        description="largest loss accepted on every older and every test-only task: 2% or 0.02 are "
        "two points, or 0.02 nats per token",
    )
    relative: bool = Field(
        default=False, description="count losses as shares of the score before, not in points"
    )
    tasks: dict[str, Annotated[Share, Field(gt=0, lt=1)]] = Field(
        default_factory=dict, description="another largest loss for single tasks, by name"
    )
    checks: int = Field(
        default=4, ge=0, description="how often the kept tasks are asked while a stage is trained"
    )
    spread: bool = Field(
        default=True,
        description="give a task's budget out in equal parts over the stages that are to come",
    )
    steer: bool = Field(
        default=True,
        description="let protections grow stronger, and steps shorter, while a task is over budget",
    )
    margin: float = Field(
        default=1.645,
        ge=0,
        description="standard errors of the loss found that a merge stays below the budget; 1.645: "
        "19 times in 20 the true loss is within it",
    )

    def of(self, task: str) -> float:
        """The largest loss of a task, as it is written: points, nats per token or a share."""
        return self.tasks.get(task, self.loss)

    def allowed(self, task: str, before: float) -> float:
        """The largest loss of a task in points or nats per token.

        Args:
            task: Its name.
            before: Its score before; of it a relative budget is a share.
        """
        return self.of(task) * (abs(before) if self.relative else 1.0)


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
    output: str = Field(default="runs/run", description="run folder")

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
            if value.get("methods") == AUTO:
                value["methods"] = [AUTO]
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
                raise ValueError(f"two tasks are named {task.name!r}: give one of them a name")
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
            "training": _WITHOUT_EFFECT,
            "hosted": _FOR_THE_USER,
        }
        found = self.model_dump(mode="json", exclude=without)
        if self.hosted is None:  # plans had the same fingerprint before providers were known
            del found["hosted"]
        return found

    def fingerprint(self) -> str:
        """SHA-256 of all that decides the results."""
        return hashlib.sha256(json.dumps(self.decisive(), sort_keys=True).encode()).hexdigest()
