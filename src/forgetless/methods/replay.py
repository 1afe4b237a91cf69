"""Rehearsal: mix rows of earlier tasks into each stage.

With ratio r and N tokens of new rows in an epoch, r * N / (1 - r) tokens of old rows are drawn, so
that r of the mixture's tokens are old; every epoch draws anew, without repeating a row before all
were used.  Rows that also occur as a test item of any task are never drawn.

Source: Ratcliff 1990; for language models Scialom et al. 2022 (arXiv 2205.12393).  The reservoir is
algorithm R of Vitter 1985.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from forgetless.methods.base import Method, RehearsalRows, Stage, State, Workbench
from forgetless.plan import Config
from forgetless.tasks.row import Row
from forgetless.tasks.source import read_source
from forgetless.tasks.task import Task, exchange_hash


class ReplayConfig(Config):
    """Options of replay."""

    ratio: float = Field(
        0.1, ge=0, lt=1, description="share of the mixture's tokens that are of earlier tasks"
    )
    buffer: Literal["all", "reservoir", "balanced"] = Field(
        "all",
        description="which old rows are kept: all; a uniform sample of all rows seen; or equally "
        "many of each task",
    )
    size: int = Field(1000, ge=1, description="rows kept by a reservoir or balanced buffer")
    general: str | None = Field(
        None, description="source of general rows, mixed into every stage from the first"
    )
    general_ratio: float = Field(
        0.05, ge=0, lt=1, description="share of the mixture's tokens that are general rows"
    )

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        if self.general is not None and self.ratio + self.general_ratio >= 1:
            raise ValueError(
                f"ratio {self.ratio:g} and general_ratio {self.general_ratio:g} leave no room for "
                "new rows: lower one of them"
            )
        return self


class Replay(Method[ReplayConfig]):
    """Rehearse rows of earlier tasks, and general rows where a source is given."""

    name = "replay"
    Config = ReplayConfig

    def __init__(self, config: ReplayConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        self._kept: list[tuple[str, int]] = []  # (task, index of its training row)
        self._seen = 0

    def acts_in(self, stage: Stage) -> bool:
        """Where there is something to rehearse."""
        old = bool(stage.earlier) and self.config.ratio > 0
        return old or (self.config.general is not None and self.config.general_ratio > 0)

    def identity(self, stage: Stage) -> dict[str, Any]:
        """The options, the general rows, and which rows are left out because they are tested."""
        old = [(task, row) for task in stage.earlier for row in task.train]
        general = [(stage.tasks[0], row) for row in self._general()]
        digest = hashlib.sha256()
        for _, row in general:
            digest.update(row.content_hash().encode())
        for rows in (old, general):
            for task, row in _without_tests(rows, stage):
                digest.update(f"{task.name}\x00{row.id}\n".encode())
        return super().identity(stage) | {"rows": digest.hexdigest()}

    def rehearsal(self, bench: Workbench) -> Sequence[RehearsalRows]:
        """Kept rows of earlier tasks, and the general rows."""
        stage = bench.stage
        found = []
        if stage.earlier and self.config.ratio > 0:
            tasks = {task.name: task for task in stage.earlier}
            rows = [(tasks[name], tasks[name].train[index]) for name, index in self._kept]
            found.append(RehearsalRows(_without_tests(rows, stage), self.config.ratio))
        if self.config.general is not None and self.config.general_ratio > 0:
            rows = [(stage.tasks[0], row) for row in self._general()]
            found.append(RehearsalRows(_without_tests(rows, stage), self.config.general_ratio))
        return found

    def _general(self) -> Sequence[Row]:
        """The general rows, none without a source."""
        source = self.config.general
        return () if source is None else read_source(source, fields={}, split="train")

    def keep_rows(self, stage: Stage) -> None:
        """Take the stage's rows into the buffer."""
        rng = stage.rng("replay/buffer")
        for task in stage.tasks:
            arrived = [(task.name, index) for index in range(len(task.train))]
            if self.config.buffer == "all":
                self._kept += arrived
            elif self.config.buffer == "reservoir":
                for row in arrived:
                    self._seen += 1
                    if len(self._kept) < self.config.size:
                        self._kept.append(row)
                    elif (place := int(rng.integers(self._seen))) < self.config.size:
                        self._kept[place] = row
            else:
                groups: dict[str, list[tuple[str, int]]] = {}
                for kept in self._kept:
                    groups.setdefault(kept[0], []).append(kept)
                groups[task.name] = [arrived[i] for i in rng.permutation(len(arrived))]
                self._kept = _balanced(list(groups.values()), self.config.size)

    def state(self) -> State:
        """The buffer: indices of rows, not the rows."""
        return State(values={"kept": [list(row) for row in self._kept], "seen": self._seen})

    def restore(self, state: State) -> None:
        """Take the buffer back."""
        self._kept = [(str(name), int(index)) for name, index in state.values["kept"]]
        self._seen = int(state.values["seen"])


def _balanced(groups: Sequence[list[tuple[str, int]]], size: int) -> list[tuple[str, int]]:
    """The first rows of each group, equally many; what a small group leaves goes to the others."""
    kept: list[tuple[str, int]] = []
    room = size
    for position, group in enumerate(sorted(groups, key=len)):
        share = math.floor(room / (len(groups) - position))
        kept += group[:share]
        room -= min(share, len(group))
    return kept


def _without_tests(rows: Sequence[tuple[Task, Row]], stage: Stage) -> list[tuple[Task, Row]]:
    return [
        (task, row)
        for task, row in rows
        if stage.held_back.isdisjoint(map(exchange_hash, _exchanges(row)))
    ]


def _exchanges(row: Row) -> list[Row]:
    """The row and what its earlier turns already teach: each assistant turn with its question."""
    earlier = [
        Row(row.id, row.prompt[:number], turn.content)
        for number, turn in enumerate(row.prompt)
        if turn.role == "assistant"
    ]
    return [*earlier, row]
