"""A task that the untouched tiny model knows, and a training that destroys it."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from forgetless.evaluation.scorer import score_task
from forgetless.guard import RetentionGuard
from forgetless.models.load import LoadedModel
from forgetless.tasks.task import Task
from tests.training.build import exchange, fresh, make_task
from tests.training.trainers import made

GENTLE: dict[str, Any] = {"learning_rate": 1e-6}
RUINOUS: dict[str, Any] = {"learning_rate": 0.3, "lr_scheduler_type": "constant"}


class Heard(TrainerCallback):
    """What another callback, such as a tracker's, is told."""

    def __init__(self) -> None:
        self.logs: list[tuple[int, dict[str, float]]] = []

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.logs.append((state.global_step, dict(kwargs["logs"])))

    def retention(self) -> list[tuple[int, dict[str, float]]]:
        """The lines of a guard."""
        return [(step, logs) for step, logs in self.logs if any("retention/" in k for k in logs)]


@cache
def known_task(tiny_model: Path, name: str = "known", count: int = 40) -> Task:
    """Choices of which the untouched model finds the right one likeliest, for they are its own."""
    loaded, rng = fresh(tiny_model), random.Random(name)
    rows = []
    for number in range(count):
        words = tuple("".join(rng.choices("abcdefgh", k=5)) for _ in range(4))
        rows.append(exchange(number, f"pick {number}?", words[0], choices=words))
    asked = make_task(name, test=rows, score="multiple_choice")
    picked = picks(loaded, asked)
    return replace(asked, test=tuple(replace(row, answer=picked[row.id]) for row in rows))


def picks(loaded: LoadedModel, task: Task) -> dict[str, str]:
    """What a model chooses, by item."""
    return {
        result.item: str(result.output)
        for results in score_task(loaded, task, 8)
        for result in results
    }


def guarded(
    kind: str, tiny_model: Path, folder: Path, guard: RetentionGuard | None, **changes: Any
) -> tuple[Any, Heard]:
    """A trainer with a guard, and what its other callbacks hear."""
    heard = Heard()
    callbacks = [heard, *([guard] if guard is not None else [])]  # trackers stand before
    return made(kind, tiny_model, folder, callbacks=callbacks, **changes), heard


def steps(guard: RetentionGuard) -> list[int]:
    """The steps of the checks."""
    return [check.step for check in guard.history]
