"""Asking a model in the midst of its training, and leaving no trace of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from forgetless.errors import RunFailed
from forgetless.evaluation.scorer import score_task
from forgetless.metrics import Cell
from forgetless.models.chances import same_chances
from forgetless.models.forward import only_asked
from forgetless.models.load import LoadedModel
from forgetless.processes import gathered, turns
from forgetless.tasks.task import Task

Answers = tuple[dict[str, float], dict[str, str]]  # score by item, and reason by item


def ask_tasks(loaded: LoadedModel, tasks: Sequence[Task], batch_size: int) -> dict[str, Cell]:
    """Score every item of all tasks; each process scores its share, and all get everything.

    Args:
        loaded: The model as it is, not wrapped for several processes, and its tokenizer.
        tasks: What to ask.
        batch_size: Most sequences in one forward pass.

    Returns:
        The items by task name, the same in every process.

    Raises:
        RunFailed: if another process failed; what failed in this one is raised as it is.
    """
    fault: Exception | None = None
    answers: dict[str, Answers] = {}
    try:
        with (
            only_asked(loaded.model),
            _own_precision(loaded.model),
            same_chances(loaded.model),
        ):
            mine = turns()
            answers = {task.name: _ask(loaded, task, batch_size, mine) for task in tasks}
    except Exception as error:  # the others wait for the answers, and would wait for ever
        fault = error
    shares = gathered((answers, fault and repr(fault)))
    if fault is not None:
        raise fault
    for number, (_, failed) in enumerate(shares):
        if failed is not None:
            raise RunFailed(f"process {number} could not ask the tasks in training: {failed}")
    return {task.name: _merged(task, [share for share, _ in shares]) for task in tasks}


def _ask(loaded: LoadedModel, task: Task, batch_size: int, mine: Iterator[bool]) -> Answers:
    scores: dict[str, float] = {}
    errors: dict[str, str] = {}
    for results in score_task(loaded, task, batch_size, turns=mine):
        for result in results:
            if result.score is None:
                errors[result.item] = result.error or "it has no score"
            else:
                scores[result.item] = result.score
    return scores, errors


def _merged(task: Task, shares: Sequence[Mapping[str, Answers]]) -> Cell:
    scores: dict[str, float] = {}
    errors: dict[str, str] = {}
    for share in shares:
        scores |= share[task.name][0]
        errors |= share[task.name][1]
    ids = [row.id for row in task.test]
    return Cell(
        {item: scores[item] for item in ids if item in scores},
        {item: errors[item] for item in ids if item in errors},
    )


@contextmanager
def _own_precision(model: Any) -> Iterator[None]:
    """Without the autocast that accelerate puts around ``forward``: as it computes from disk."""
    own = vars(model)
    if "_original_forward" not in own or "forward" not in own:
        yield
        return
    prepared = own["forward"]
    model.forward = own["_original_forward"]
    try:
        yield
    finally:
        model.forward = prepared
