"""What a stage trains on, row by row: fixed before the first step.

The order of all epochs is drawn up front from the seed.  So a killed stage continues with the very
row it would have had, the share of rehearsal is exact in tokens, and ``train.jsonl`` says what was
learned from, in order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forgetless.errors import DataError
from forgetless.methods.base import Stage
from forgetless.methods.compose import Composition
from forgetless.plan import TrainingConfig
from forgetless.tasks.render import Encoded, Renderer
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task
from forgetless.training.mixture import Draws, Ints, mix


@dataclass
class Examples:
    """Tokenised examples, packed end to end.

    Attributes:
        ids: All token ids, shape (tokens,), int32.
        learned: Whether each is a target of the loss, shape (tokens,).
        offsets: Where each example starts, shape (examples + 1,), int64.
        origins: The task and row that each example came from.
    """

    ids: np.ndarray[Any, np.dtype[np.int32]]
    learned: np.ndarray[Any, np.dtype[np.bool_]]
    offsets: Ints
    origins: list[tuple[str, str]]

    def __len__(self) -> int:
        return len(self.origins)

    @property
    def lengths(self) -> Ints:
        """Tokens of each example, shape (examples,)."""
        return np.diff(self.offsets)

    def __getitem__(self, index: int) -> Encoded:
        span = slice(self.offsets[index], self.offsets[index + 1])
        return Encoded(self.ids[span].tolist(), self.learned[span].tolist())


@dataclass
class Schedule:
    """The examples of a stage and the order in which they are learned.

    Attributes:
        examples: New rows first, then those that may be rehearsed.
        new: How many of ``examples`` are new.
        order: Index into ``examples`` of every row learned, shape (rows,).
        epochs: Epoch of every row learned, from 1, shape (rows,).
        dropped: Rows left out because they are longer than ``max_length``.
        truncated: Rows cut to ``max_length``.
    """

    examples: Examples
    new: int
    order: Ints
    epochs: Ints
    dropped: int = 0
    truncated: int = 0

    def __len__(self) -> int:
        return len(self.order)

    @property
    def tokens(self) -> int:
        """Tokens learned from, prompts included."""
        return int(self.examples.lengths[self.order].sum())

    @property
    def replayed_tokens(self) -> int:
        """Tokens of rehearsed rows among them."""
        return int(self.examples.lengths[self.order[self.order >= self.new]].sum())

    def replayed(self, position: int) -> bool:
        """Whether the row at this position of the order is rehearsal."""
        return bool(self.order[position] >= self.new)

    def lines(self) -> str:
        """``train.jsonl``: one line per row learned, in order."""
        lengths = self.examples.lengths
        return "".join(
            json.dumps(
                {
                    "epoch": int(epoch),
                    "task": self.examples.origins[index][0],
                    "row": self.examples.origins[index][1],
                    "replayed": bool(index >= self.new),
                    "tokens": int(lengths[index]),
                },
                ensure_ascii=False,
            )
            + "\n"
            for index, epoch in zip(self.order.tolist(), self.epochs.tolist(), strict=True)
        )


def build_schedule(
    stage: Stage,
    methods: Composition,
    tokenizer: Any,
    config: TrainingConfig,
    context: int = 1 << 30,
) -> Schedule:
    """Tokenise a stage's rows and fix their order.

    Args:
        stage: What is trained.
        methods: The methods of the plan.
        tokenizer: The model's tokenizer.
        config: Training settings.
        context: The model's context, in tokens; rows longer than it are too long, too.

    Raises:
        DataError: for a row that is too long, or a stage with nothing left to learn.
    """
    encoder = _Encoder(tokenizer, config, context)
    new = encoder.encode([(task, row) for task in stage.tasks for row in task.train])
    if not len(new):
        raise DataError(
            f"stage {stage.name}: no training row is within {encoder.limit}",
            fix="raise max_length, or set  too_long: truncate",
        )
    pools = [
        (source.ratio, pool)
        for source in methods.rehearsal(stage)
        if source.ratio > 0 and len(pool := encoder.encode(source.rows, rehearsal=True))
    ]
    new_share = 1 - sum(ratio for ratio, _ in pools)
    draws: list[Draws] = []
    for number, (ratio, pool) in enumerate(pools):
        start = len(new) + sum(len(earlier) for _, earlier in pools[:number])
        rng = stage.rng("rehearsal", number)
        draws.append(Draws(pool.lengths, start, ratio / new_share, rng))
    examples = _concatenate([new, *(pool for _, pool in pools)])

    wanted = config.steps and config.steps * config.batch_size * config.accumulation
    order: list[Ints] = []
    epochs: list[Ints] = []
    rows = 0
    epoch = 0
    while rows < wanted if wanted else epoch < math.ceil(config.epochs):
        epoch += 1
        fresh = stage.rng("order", epoch).permutation(len(new))
        share = 1.0 if wanted else min(1.0, config.epochs - (epoch - 1))
        fresh = fresh[: max(1, round(len(fresh) * share))]
        old = [draw.epoch(int(new.lengths[fresh].sum())) for draw in draws]
        mixed = mix(fresh, old, examples.lengths, stage.rng("places", epoch))
        order.append(mixed)
        epochs.append(np.full(len(mixed), epoch))
        rows += len(mixed)
    limit = wanted or rows
    return Schedule(
        examples,
        len(new),
        np.concatenate(order)[:limit],
        np.concatenate(epochs)[:limit],
        encoder.dropped,
        encoder.truncated,
    )


class _Encoder:
    """Tokenises rows in the form of their task and minds their length."""

    def __init__(self, tokenizer: Any, config: TrainingConfig, context: int) -> None:
        self._tokenizer = tokenizer
        self._config = config
        self._context = context
        self._renderers: dict[str, Renderer] = {}
        self.dropped = 0
        self.truncated = 0

    @property
    def limit(self) -> str:
        """What a row must not be longer than, in words."""
        if self._context < self._config.max_length:
            return f"the model's context of {self._context}"
        return f"training.max_length = {self._config.max_length}"

    def encode(self, rows: Sequence[tuple[Task, Row]], *, rehearsal: bool = False) -> Examples:
        ids: list[int] = []
        learned: list[bool] = []
        offsets = [0]
        origins: list[tuple[str, str]] = []
        for task, row in rows:
            if task.name not in self._renderers:
                self._renderers[task.name] = task.renderer(self._tokenizer)
            for example in self._renderers[task.name].encode(row):
                fitted = self._fit(example, task, row, rehearsal)
                if fitted is None or not any(fitted.learned[1:]):
                    self.dropped += not rehearsal
                    continue
                ids += fitted.ids
                learned += fitted.learned
                offsets.append(len(ids))
                origins.append((task.name, row.id))
        return Examples(
            np.array(ids, dtype=np.int32),
            np.array(learned, dtype=bool),
            np.array(offsets, dtype=np.int64),
            origins,
        )

    def _fit(self, example: Encoded, task: Task, row: Row, rehearsal: bool) -> Encoded | None:
        limit = min(self._config.max_length, self._context)
        if len(example) <= limit:
            return example
        if self._config.too_long == "error":
            where = "rehearsed" if rehearsal else f"{task.config.train}:"
            fits = len(example) <= self._context
            longer = f"--set training.max_length={len(example)}, or  " if fits else ""
            raise DataError(
                f"{where} row {row.id!r} of task {task.name!r} has {len(example)} "
                f"tokens, more than {self.limit}",
                fix=f"{longer}--set training.too_long=drop (or truncate)",
            )
        if self._config.too_long == "drop":
            return None
        self.truncated += not rehearsal
        return Encoded(example.ids[:limit], example.learned[:limit])


def _concatenate(parts: Sequence[Examples]) -> Examples:
    shifts = np.cumsum([0, *(len(part.ids) for part in parts)])
    return Examples(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.learned for part in parts]),
        np.concatenate(
            [np.zeros(1, dtype=np.int64)]
            + [part.offsets[1:] + shift for part, shift in zip(parts, shifts, strict=False)]
        ),
        [origin for part in parts for origin in part.origins],
    )
