"""A stage, and what lies ready for methods before and after its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from forgetless.tasks.examples import Encoder, Examples, Ints, TaskRows
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task


@dataclass(frozen=True)
class Stage:
    """One step of the sequence.

    Attributes:
        number: From 1; 0 is the untouched model.
        name: Its folder: number and what it trains.
        tasks: What is trained.
        earlier: Tasks trained in earlier stages, oldest first.
        held_back: Hashes (``exchange_hash``) of test items, but those of a task that says it asks
            what it taught; never to be rehearsed.
        tested: Hashes of all test items; no choice may rest on them.
        seed: Seed of everything drawn in this stage.
        from_base: Start from the untouched model instead of the previous stage's.
    """

    number: int
    name: str
    tasks: tuple[Task, ...]
    earlier: tuple[Task, ...] = ()
    held_back: frozenset[bytes] = frozenset()
    tested: frozenset[bytes] = frozenset()
    seed: int = 0
    from_base: bool = False

    def rng(self, purpose: str, turn: int = 0) -> np.random.Generator:
        """An independent stream of random numbers for one purpose (and epoch) of this stage."""
        entropy = [self.seed, self.number, turn, *purpose.encode()]
        return np.random.default_rng(np.random.SeedSequence(entropy))


@dataclass(frozen=True)
class RehearsalRows:
    """Rows that may be mixed into a stage.

    Attributes:
        rows: Each with the task in whose form it is rendered; or examples that are tokens already.
        ratio: Share of the tokens of the final mixture that they are to make up, in [0, 1).
    """

    rows: Sequence[tuple[Task, Row]] | Examples
    ratio: float

    def encoded(self, encoder: Encoder) -> Examples:
        """The rows as tokens; those that are too long are left out or cut as ``encoder`` does."""
        if isinstance(self.rows, Examples):
            return self.rows
        return encoder.encode(self.rows, rehearsal=True)


@dataclass
class Workbench:
    """What lies ready for a method before and after a stage's training.

    Attributes:
        stage: The stage.
        model: The model in evaluation mode, on its device; on torch's ``meta`` device, shapes
            without weights, in a dry run.  A method that puts another in its place says so here.
        tokenizer: Its tokenizer.
        encoder: Tokenises rows as for training.
        steps: Optimiser steps that the stage takes; known from the phase *start* on, 0 before.
        drawn: In the phase *start*, indices of the examples that will be learned from, each once,
            ascending; None where that is not known beforehand.
        found: What methods found out while the stage was trained, by their names, as plain data; it
            goes on record with what the training took.
    """

    stage: Stage
    model: Any
    tokenizer: Any
    encoder: Encoder
    steps: int = 0
    drawn: Ints | None = None
    found: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def new(self) -> Examples:
        """The stage's own rows, tokenised."""
        return self.encoder.encode(TaskRows.of(self.stage.tasks))

    @property
    def device(self) -> str:
        """Where the model is: ``cpu``, ``cuda`` or ``mps``; ``meta`` in a dry run."""
        return str(next(self.model.parameters()).device.type)

    @property
    def dry(self) -> bool:
        """Whether the model has no weights: nothing can be computed with it."""
        return self.device == "meta"
