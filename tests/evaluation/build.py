"""Tasks for tests of scoring."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from forgetless.evaluation.result import ItemResult
from forgetless.evaluation.scorer import score_task
from forgetless.models.load import LoadedModel
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task
from tests.training.build import colour_task, exchange, make_task

COLOURS = colour_task("colours", count=12, tested=6)


def choices(count: int = 9, **settings: Any) -> Task:
    """Multiple choice with choices of different lengths, and prompts of different lengths.

    A single character that nothing asks for is likelier than two colours, but not by character.
    """
    offered = ("red", "a rather dark blue", "green green")
    rows = [
        exchange(
            f"choice-{n}", f"Which colour{' is it' * (n % 4)}, number {n}?", offered[n % 3],
            choices=offered[: 2 + n % 2] if n % 3 < 2 else (offered[2], "?"),
        )
        for n in range(count)
    ]  # fmt: skip
    return make_task("choices", (), rows, **{"score": "multiple_choice", **settings})


def texts(**settings: Any) -> Task:
    """Plain texts, scored by likelihood."""
    rows = [Row(f"text-{n}", (), f"{n} times the colour. " * (1 + n % 3)) for n in range(7)]
    return make_task("texts", (), rows, **{"score": "nll", **settings})


def scored(
    loaded: LoadedModel, task: Task, batch_size: int = 8, done: Collection[str] = ()
) -> dict[str, ItemResult]:
    """Results by item id."""
    found = [r for batch in score_task(loaded, task, batch_size, done) for r in batch]
    assert len({result.item for result in found}) == len(found)
    return {result.item: result for result in found}
