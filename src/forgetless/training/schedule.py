"""What a stage trains on, row by row: fixed before the first step.

The order of all epochs is drawn up front from the seed.  So a killed stage continues with the very
row it would have had, the share of rehearsal is exact in tokens, and ``train.jsonl`` says what was
learned from, in order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from forgetless.errors import DataError, PlanError
from forgetless.methods.base import Workbench
from forgetless.methods.compose import Compose
from forgetless.plan import TrainingConfig
from forgetless.tasks.examples import Examples, Ints
from forgetless.training.mixture import Draws, mix

MOST_PASSES = 10_000  # over a stage's rows; more is a slip, and their order would fill the memory


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

    def lines(self) -> Iterator[str]:
        """``train.jsonl``: one line per row learned, in order."""
        for index, epoch in zip(self.order, self.epochs, strict=True):
            origin = self.examples.origins[int(index)]
            line = {
                "epoch": int(epoch),
                "task": origin.task,
                "row": origin.row,
                "replayed": bool(index >= self.new),
                "tokens": int(self.examples.lengths[index]),
            }
            yield json.dumps(line, ensure_ascii=False) + "\n"


def build_schedule(bench: Workbench, methods: Compose, config: TrainingConfig) -> Schedule:
    """Tokenise a stage's rows and fix their order.

    Args:
        bench: The stage, its model and tokenizer.
        methods: The methods of the plan.
        config: Training settings.

    Raises:
        DataError: for a row that is too long, or a stage with nothing left to learn.
        PlanError: for more passes over the rows than can be meant.
    """
    stage, encoder = bench.stage, bench.encoder
    new = bench.new
    if not len(new):
        raise DataError(
            f"stage {stage.name}: no training row is within {encoder.limit}",
            fix="raise max_length, or set  too_long: truncate",
        )
    pools = methods.rehearsal(bench)
    new_share = 1 - sum(ratio for ratio, _ in pools)
    draws: list[Draws] = []
    for number, (ratio, pool) in enumerate(pools):
        start = len(new) + sum(len(earlier) for _, earlier in pools[:number])
        rng = stage.rng("rehearsal", number)
        draws.append(Draws(pool.lengths, start, ratio / new_share, rng))
    examples = Examples.concatenated([new, *(pool for _, pool in pools)], encoder.scratch)

    passes = config.epochs * (new_share if config.equal_tokens else 1)
    wanted = config.steps and config.steps * config.batch_size * config.accumulation
    if passes > MOST_PASSES or (wanted or 0) > MOST_PASSES * len(new):
        key = "steps" if wanted else "epochs"
        raise PlanError(
            f"training.{key} = {getattr(config, key):g}: more than {MOST_PASSES:,} passes over the "
            f"{len(new)} rows of stage {stage.name}",
            fix=f"lower  training.{key}",
        )
    order: list[Ints] = []
    epochs: list[Ints] = []
    rows = 0
    epoch = 0
    while rows < wanted if wanted else epoch < math.ceil(passes):
        epoch += 1
        fresh = stage.rng("order", epoch).permutation(np.arange(len(new), dtype=np.int32))
        share = 1.0 if wanted else min(1.0, passes - (epoch - 1))
        fresh = fresh[: max(1, round(len(fresh) * share))]
        if wanted:
            fresh = fresh[: wanted - rows]  # what comes later would not be learned
        old = [draw.epoch(int(new.lengths[fresh].sum())) for draw in draws]
        mixed = mix(fresh, old, examples.lengths, stage.rng("places", epoch))
        order.append(mixed)
        epochs.append(np.full(len(mixed), epoch, np.int32))
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
