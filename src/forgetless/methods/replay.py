"""Rehearsal: mix rows of earlier tasks into each stage.

With ratio r and N tokens of new rows in an epoch, r * N / (1 - r) tokens of old rows are drawn, so
that r of the mixture's tokens are old; every epoch draws anew, without repeating a row before all
were used.  Rows that also occur as a test item of any task are never drawn.

A buffer of limited size decides how many rows of a task are kept, ``select`` which: a random
choice; or, by the model at the end of the stage that learned them, those of highest loss mixed with
random ones (``surprising_first``), or those that together stand for the whole task (``herded``).

Source: Ratcliff 1990; for language models Scialom et al. 2022 (arXiv 2205.12393); the choice by
embedding Rebuffi et al. 2017 (arXiv 1611.07725).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from forgetless.methods.base import Method, State
from forgetless.methods.parts.buffer import Buffer, Policy, is_tested, untested
from forgetless.methods.parts.passes import embeddings, mean_losses
from forgetless.methods.parts.selection import by_row, herded, surprising_first
from forgetless.methods.stage import RehearsalRows, Stage, Workbench
from forgetless.plan import Config
from forgetless.tasks.examples import Examples, TaskRows
from forgetless.tasks.source import read_source
from forgetless.tasks.task import Task

GENERAL = "general rows"
"""The task that ``train.jsonl`` names for them."""


class ReplayConfig(Config):
    """Options of replay."""

    ratio: float = Field(
        0.1, ge=0, lt=1, description="share of the mixture's tokens that are of earlier tasks"
    )
    buffer: Policy = Field(
        "all",
        description="which old rows are kept: all; a uniform sample of all rows seen; or equally "
        "many of each task",
    )
    size: int = Field(1000, ge=1, description="rows kept by a reservoir or balanced buffer")
    select: Literal["random", "surprise", "coverage"] = Field(
        "random",
        description="which rows of a task such a buffer keeps: a random choice; those of highest "
        "loss after their stage; or those that stand for the task by their embeddings",
    )
    random_share: float = Field(
        0.5, gt=0, le=1, description="select: surprise: share of the rows drawn at random instead"
    )
    general: str | None = Field(
        None, description="source of general rows, mixed into every stage from the first"
    )
    general_ratio: float = Field(
        0.05, ge=0, lt=1, description="share of the mixture's tokens that are general rows"
    )

    @model_validator(mode="after")
    def _has_a_choice(self) -> Self:
        if self.select != "random" and self.buffer == "all":
            raise ValueError(
                f"select: {self.select} has nothing to choose where the buffer keeps all rows: "
                "set buffer to balanced or reservoir, and its size"
            )
        return self


class Replay(Method[ReplayConfig]):
    """Rehearse rows of earlier tasks, and general rows if given."""

    name = "replay"
    Config = ReplayConfig
    excludes_sharding = ""

    def __init__(self, config: ReplayConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        self._buffer = Buffer(self.config.buffer, self.config.size)
        self._digests: dict[str, str] = {}  # of the rows of a task that may be rehearsed
        self.needs_weights = (
            ""
            if self.config.select == "random"
            else f"select: {self.config.select} looks at the model after each stage"
        )
        self.learns_from_model = self.config.select != "random" and self.config.ratio > 0
        if self.config.general is not None:
            self.only_in_runs = (
                "general rows are rendered as a plan says; without  general  replay works"
            )

    @property
    def rehearsed_share(self) -> float:
        """That of old rows and general rows together."""
        general = self.config.general_ratio if self.config.general is not None else 0.0
        return self.config.ratio + general

    def acts_in(self, stage: Stage) -> bool:
        """Where there is something to rehearse."""
        return self._rehearses_old(stage) or self._rehearses_general

    def identity(self, stage: Stage) -> dict[str, Any]:
        """The options, the general rows, and which rows are left out because they are tested."""
        sources = {task.name: task for task in stage.earlier}
        if general := self._general(stage):
            sources[""] = general[0]
        digest = hashlib.sha256()
        for name, task in sources.items():
            if name not in self._digests:  # every stage holds back the same
                self._digests[name] = _digest(task, stage)
            digest.update(f"{name}\x00{self._digests[name]}\n".encode())
        options = super().identity(stage)
        if self.config.select != "surprise":
            del options["random_share"]
        if self.config.select == "random":
            del options["select"]
        return options | {"rows": digest.hexdigest()}

    def rehearsal(self, bench: Workbench) -> Sequence[RehearsalRows]:
        """Kept rows of earlier tasks, and the general rows."""
        found = []
        if self._rehearses_old(bench.stage):
            kept = self._buffer.encoded(bench.stage, bench.encoder)
            found.append(RehearsalRows(kept, self.config.ratio))
        general = self._general_rows(bench.stage)
        return [*found, *(RehearsalRows(rows, ratio) for ratio, rows in general)]

    def rows(self, stage: Stage) -> list[tuple[float, TaskRows]]:
        """What a stage may rehearse, and the share of the mixture's tokens that it makes up."""
        old = self._rehearses_old(stage)
        kept = [(self.config.ratio, self._buffer.rows(stage))] if old else []
        return kept + self._general_rows(stage)

    def _rehearses_old(self, stage: Stage) -> bool:
        return bool(stage.earlier) and self.config.ratio > 0

    @property
    def _rehearses_general(self) -> bool:
        return self.config.general is not None and self.config.general_ratio > 0

    def _general_rows(self, stage: Stage) -> list[tuple[float, TaskRows]]:
        if not self._rehearses_general:
            return []
        rows = untested(TaskRows.of(self._general(stage)), stage)
        return [(self.config.general_ratio, rows)]

    def _general(self, stage: Stage) -> list[Task]:
        """The general rows in the form of the stage's task; none without a source."""
        source = self.config.general
        if source is None:
            return []
        task = stage.tasks[0]
        config = task.config.model_copy(update={"name": GENERAL})
        return [replace(task, config=config, train=read_source(source, fields={}, split="train"))]

    def keep_rows(self, stage: Stage) -> None:
        """Take the stage's rows into the buffer, chosen at random."""
        self._buffer.add(stage, stage.rng("replay/buffer"))

    def end_stage(self, bench: Workbench) -> None:
        """Put as many rows of the model's choice in the place of those chosen at random."""
        for task in bench.stage.tasks:
            if count := self._buffer.count(task.name):
                self._buffer.replace(task.name, self._best(bench, task, count))

    def _best(self, bench: Workbench, task: Task, count: int) -> list[int]:
        """Indices of so many rows of a task, best first; rows too long to be learned come last."""
        encoded = {
            index: bench.encoder.encode([(task, row)], rehearsal=True)
            for index, row in enumerate(task.train)
            if not is_tested(row, bench.stage)
        }
        usable = [index for index, examples in encoded.items() if len(examples)]
        order: list[int] = []
        if usable:
            examples = Examples.concatenated([encoded[index] for index in usable])
            of_each = [len(encoded[index]) for index in usable]
            if self.config.select == "surprise":
                losses = by_row(mean_losses(bench.model, examples), of_each)
                rng = bench.stage.rng("replay/select")
                order = surprising_first(losses, self.config.random_share, rng)
            else:
                vectors = by_row(embeddings(bench.model, examples), of_each)
                order = herded(vectors, count)
        too_long = (index for index, examples in encoded.items() if not len(examples))
        return [*(usable[place] for place in order), *too_long][:count]

    def state(self) -> State:
        """The buffer: indices of rows, not the rows."""
        return State(values=self._buffer.values())

    def restore(self, state: State) -> None:
        """Take the buffer back."""
        self._buffer.restore(state.values)


def _digest(task: Task, stage: Stage) -> str:
    """SHA-256 over the rows of a task that may be rehearsed."""
    digest = hashlib.sha256()
    for _, row in untested(TaskRows.of([task]), stage):
        digest.update(f"{row.id}\x00{row.content_hash()}\n".encode())
    return digest.hexdigest()
