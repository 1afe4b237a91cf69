"""One task of a plan."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from forgetless.plan.base import Config
from forgetless.plan.sources import BUILTIN, BUNDLED, HUB

Scorer = Literal[
    "auto", "multiple_choice", "exact_match", "contains", "token_f1", "number", "nll", "rules"
]
Rendering = Literal["auto", "chat", "plain"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
LONGEST_NAME = 100  # characters; stages, and what belongs to them, are named after tasks


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
        description="share of the training rows held out when there is no test; they are never "
        "taught, so that they can test a skill but no separate facts",
    )
    memory: bool = Field(
        default=False,
        description="the test asks rows that are taught, in the same words, and rehearsal may draw "
        "them; without a test, all training rows are asked",
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
    score: Scorer = Field(
        default="auto",
        description="how a test item is scored; auto: multiple_choice with choices, rules with "
        "rules, nll for plain text, else exact_match where the median answer has at most five "
        "words, and token_f1 where it has more",
    )
    normalise: bool = Field(
        default=False,
        description="multiple choice: pick by log-likelihood per character instead of the sum",
    )
    choose_by: Literal["text", "letter"] = Field(
        default="text",
        description="multiple choice: score the text of each choice, or list the choices in the "
        "prompt, and score and teach their letters",
    )
    render: Rendering = Field(
        default="auto",
        description="chat template or plain text; auto: chat if the model has a template. Plain: "
        "a prompt that ends in '?' is put as 'Question: ...' and 'Answer:', and one space comes "
        "before the answer unless there is white space",
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
