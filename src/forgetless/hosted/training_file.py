"""A stage's training file: its new rows, and old rows among them.

The file is one epoch; a provider goes through it as often as the plan has epochs.  With ratio r and
N tokens of new rows, r * N / (1 - r) tokens of old rows are mixed in, as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from forgetless.errors import DataError
from forgetless.hosted.chat_format import FEWEST_ROWS, line_of, messages_of
from forgetless.hosted.tokens import TokenCounter
from forgetless.methods.compose import Compose
from forgetless.methods.replay import Replay
from forgetless.methods.stage import Stage
from forgetless.plan import HostedConfig
from forgetless.tasks.examples import Ints, TaskRows
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task
from forgetless.training.mixture import Epochs, Mixture


@dataclass(frozen=True)
class TrainingFile(Mixture):
    """What a provider is given to learn in one stage; tokens are those of one epoch.

    Attributes:
        rows: The new rows, then those that may be rehearsed.
        size: Bytes of the file.
    """

    rows: Sequence[TaskRows]
    size: int

    def lines(self) -> Iterator[str]:
        """The file, line by line."""
        for index in map(int, self.order):
            yield line_of(messages_of(*self._row(index)))

    def provenance(self) -> Iterator[str]:
        """``train.jsonl``: of every line, where it came from."""
        for index in map(int, self.order):
            task, row = self._row(index)
            yield self.provenance_line(index, task.name, row.id)

    def _row(self, index: int) -> tuple[Task, Row]:
        for part in self.rows:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(index)


def training_file(
    stage: Stage, methods: Compose, counter: TokenCounter, config: HostedConfig
) -> TrainingFile:
    """Mix the file of a stage, and check it against the provider's rules.

    Args:
        stage: The stage.
        methods: The methods of the plan, with the buffers that they have before it.
        counter: Counts tokens.
        config: The provider's limits.

    Raises:
        DataError: for a row or a file that the provider would not take.
    """
    pools = [
        (ratio, rows)
        for method in methods.methods
        if isinstance(method, Replay)
        for ratio, rows in method.rows(stage)
        if ratio > 0 and len(rows)
    ]
    parts = [TaskRows.of(stage.tasks), *(rows for _, rows in pools)]
    measured = [_measured(part, counter, config) for part in parts]
    lengths, sizes = (np.concatenate(figures) for figures in zip(*measured, strict=True))
    new = len(parts[0])
    order = Epochs(stage, lengths, new, [(ratio, len(rows)) for ratio, rows in pools]).epoch(1)
    file = TrainingFile(lengths, new, order, parts, int(sizes[order].sum()))
    _check(stage, file, config)
    return file


def _measured(rows: TaskRows, counter: TokenCounter, config: HostedConfig) -> tuple[Ints, Ints]:
    """Tokens and bytes of each row; a row that is too long is refused."""
    tokens, sizes = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    for place, (task, row) in enumerate(rows):
        messages = messages_of(task, row)
        tokens[place] = counter.count(messages)
        sizes[place] = len(line_of(messages).encode())
        if tokens[place] > config.max_length:
            about = "" if counter.exact else "about "
            raise DataError(
                f"row {row.id!r} of task {task.name!r} has {about}{tokens[place]} tokens, more "
                f"than hosted.max_length = {config.max_length}",
                fix=f"shorten it, or if the model takes so many:  --set "
                f"hosted.max_length={tokens[place]}",
            )
    return tokens, sizes


def _check(stage: Stage, file: TrainingFile, config: HostedConfig) -> None:
    if len(file) < FEWEST_ROWS:
        raise DataError(
            f"stage {stage.name}: its training file would have {len(file)} rows, a provider takes "
            f"no fewer than {FEWEST_ROWS}",
            fix="add rows, or hold fewer out",
        )
    if file.size > config.max_file_mb * 1e6:
        raise DataError(
            f"stage {stage.name}: its training file would have {file.size / 1e6:,.1f} MB, more "
            f"than hosted.max_file_mb = {config.max_file_mb:g}",
            fix="set train_limit for the task, or divide it into several",
        )
