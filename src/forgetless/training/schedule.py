"""What a stage trains on, row by row: fixed before the first step.

The order of all epochs is drawn up front from the seed.  So a killed stage continues with the very
row it would have had, the share of rehearsal is exact in tokens, and ``train.jsonl`` says what was
learned from, in order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from forgetless.errors import DataError, PlanError
from forgetless.methods.compose import Compose
from forgetless.methods.stage import Workbench
from forgetless.plan import TrainingConfig
from forgetless.tasks.examples import Examples, Ints
from forgetless.training.mixture import Epochs, Mixture

MOST_PASSES = 10_000  # over a stage's rows; more is a slip, and their order would fill the memory


@dataclass(frozen=True)
class Schedule(Mixture):
    """The examples of a stage and the order in which they are learned.

    Attributes:
        examples: New rows first, then those that may be rehearsed.
        epochs: Epoch of every row learned, from 1, shape (rows,).
        dropped: Rows left out because they are longer than ``max_length``.
        truncated: Rows cut to ``max_length``.
    """

    examples: Examples
    epochs: Ints
    dropped: int = 0
    truncated: int = 0

    def replayed(self, position: int) -> bool:
        """Whether the row at this position of the order is rehearsal."""
        return bool(self.order[position] >= self.new)

    def lines(self) -> Iterator[str]:
        """``train.jsonl``: one line per row learned, in order."""
        for index, epoch in zip(map(int, self.order), map(int, self.epochs), strict=True):
            origin = self.examples.origins[index]
            yield self.provenance_line(index, origin.task, origin.row, epoch)


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
    examples = Examples.concatenated([new, *(pool for _, pool in pools)], encoder.scratch)
    sizes = [(ratio, len(pool)) for ratio, pool in pools]
    drawn = Epochs(stage, examples.lengths, len(new), sizes)

    passes = config.epochs * (drawn.new_share if config.equal_tokens else 1)
    last = max(1, math.ceil(passes - 1e-9))  # 10 * (1 - 0.7) comes to a little more than 3
    wanted = config.steps and config.steps * config.rows_per_step
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
    while rows < wanted if wanted else epoch < last:
        epoch += 1
        if wanted:
            fresh = wanted - rows  # what comes later would not be learned
        else:
            fresh = max(1, round(len(new) * min(1.0, passes - (epoch - 1))))
        mixed = drawn.epoch(epoch, fresh)
        order.append(mixed)
        epochs.append(np.full(len(mixed), epoch, np.int32))
        rows += len(mixed)
    limit = wanted or rows
    return Schedule(
        examples.lengths,
        len(new),
        np.concatenate(order)[:limit],
        examples,
        np.concatenate(epochs)[:limit],
        encoder.dropped,
        encoder.truncated,
    )
