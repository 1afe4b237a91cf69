"""Ask one task of one model: batches of item results, in an order that never changes.

Three kinds of question: choose by likelihood, answer by generating, and how likely is this answer.
A fault in one item (a prompt longer than the context, say) becomes an error of that item with its
reason; it is never a score.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from forgetless.errors import DataError
from forgetless.evaluation.generation import generate
from forgetless.evaluation.grading import (
    GENERATED,
    NOT_A_NUMBER,
    failure,
    score_choices,
    score_generated,
    score_text,
)
from forgetless.evaluation.likelihood import batches, log_likelihoods, put_together
from forgetless.evaluation.packing import Request
from forgetless.evaluation.result import ItemResult
from forgetless.models.blocks import weights_in_blocks
from forgetless.models.load import LoadedModel
from forgetless.models.reach import Reach
from forgetless.models.tree import Trunk
from forgetless.tasks.render import Renderer
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.task import Task

ASK_TOKENS = 64
# Prompts of a batch for each that is continued at a time: one that ends makes room for another.
TURNS_TOGETHER = 4
TOKENS_WORTH_BLOCKS = 1000  # putting weights into blocks takes about what it saves in so many


@dataclass(frozen=True)
class _Prepared:
    """An item with its token ids.

    Requests are one for each choice, or one for the gold answer; where an answer is written, one
    that holds the prompt alone.
    """

    row: Row
    prompt: str
    requests: tuple[Request, ...]


def score_task(
    loaded: LoadedModel,
    task: Task,
    batch_size: int,
    done: Collection[str] = (),
    turns: Iterator[bool] | None = None,
) -> Iterator[list[ItemResult]]:
    """Score every item of a task.

    Args:
        loaded: Model and tokenizer.
        task: What to ask.
        batch_size: Most sequences in one padded pass; packs of trees are in proportion to it.
        done: Ids of items scored before; a batch is skipped only as a whole, so that what is
            scored now goes through the model in the same company as without interruption.
        turns: Of each batch, whether to score it here; none: all.  Processes that share a task
            batch by batch score its items in the same company as one process.

    Yields:
        The results of one batch at a time.
    """
    renderer = task.renderer(loaded.tokenizer)
    prepared, failed = _prepare_all(task, renderer, Reach.of(loaded.model))
    turns = turns or repeat(True)
    if next(turns) and any(result.item not in done for result in failed):
        yield failed
    if task.config.score in GENERATED:
        passes, trunk = _generation_batches(loaded, prepared, batch_size), Trunk()
    else:
        together = put_together(loaded, [item.requests for item in prepared], batch_size)
        passes, trunk = together.batches, together.trunk
    tokens = sum(len(request) for item in prepared for request in item.requests)
    with weights_in_blocks(loaded.model) if tokens >= TOKENS_WORTH_BLOCKS else nullcontext():
        for indices in passes:
            batch = [prepared[index] for index in indices]
            if next(turns) and not all(item.row.id in done for item in batch):
                yield _score_batch(loaded, task, renderer, batch, trunk, batch_size)


def unscorable(task: Task, tokenizer: Any, reach: Reach) -> list[ItemResult]:
    """Items that a model which reads no more than this could not answer, each with the reason."""
    return _prepare_all(task, task.renderer(tokenizer), reach)[1]


def asked_tokens(task: Task, tokenizer: Any, reach: Reach) -> int:
    """Tokens that a model reads and, at most, writes to answer every item of a task once."""
    prepared, _ = _prepare_all(task, task.renderer(tokenizer), reach)
    longest = task.config.max_new_tokens if task.config.score in GENERATED else 0
    return sum(
        len(item.requests[0].context)
        + sum(len(request.continuation) for request in item.requests)
        + longest
        for item in prepared
    )


def ask(loaded: LoadedModel, questions: Sequence[str]) -> list[str]:
    """Answer open questions in chat form where the model has a template, else as plain text."""
    style = "chat" if loaded.tokenizer.chat_template else "plain"
    renderer = Renderer(loaded.tokenizer, style)  # type: ignore[arg-type]
    prompts = [
        renderer.prompt_ids(Row(str(number), (Turn("user", question),), ""))
        for number, question in enumerate(questions)
    ]
    answers = generate(loaded, prompts, ASK_TOKENS, renderer.stop_ids()) if prompts else []
    return [f"({NOT_A_NUMBER})" if answer is None else answer for answer in answers]


def _prepare_all(
    task: Task, renderer: Renderer, reach: Reach
) -> tuple[list[_Prepared], list[ItemResult]]:
    """Items with their tokens, and the failures of those that cannot be asked."""
    reserve = task.config.max_new_tokens if task.config.score in GENERATED else 0
    prepared: list[_Prepared] = []
    failed: list[ItemResult] = []
    for row in task.test:
        try:
            item = _prepare(renderer, row, task.config.score)
        except DataError as error:
            failed.append(failure(task, row, "", error.message))
            continue
        longest_first = sorted(item.requests, key=len, reverse=True)
        obstacles = (
            reach.obstacle(request.ids, renderer.tokenizer, reserve) for request in longest_first
        )
        if reason := next(filter(None, obstacles), None):
            failed.append(failure(task, row, item.prompt, reason))
        else:
            prepared.append(item)
    return prepared, failed


def _prepare(renderer: Renderer, row: Row, score: str) -> _Prepared:
    context = renderer.prompt_ids(row) if row.prompt else []
    answers = row.choices if score == "multiple_choice" else (row.answer,)
    if score in GENERATED:
        return _Prepared(row, renderer.prompt(row), (Request(context, []),))
    if score == "multiple_choice" and not answers:
        raise DataError("the item has no choices")
    requests = tuple(Request(context, renderer.continuation_ids(row, answer)) for answer in answers)
    for request, answer in zip(requests, answers, strict=True):
        if request.scored < 1:
            raise DataError(f"the answer {answer[:40]!r} has no token to score")
    return _Prepared(row, renderer.prompt(row) if row.prompt else "", requests)


def _generation_batches(
    loaded: LoadedModel, prepared: Sequence[_Prepared], size: int
) -> tuple[tuple[int, ...], ...]:
    """Indices of items whose prompts are continued together, ``size`` of them at a time."""
    prompts = [item.requests[0] for item in prepared]
    together = size * TURNS_TOGETHER
    return tuple(map(tuple, batches(prompts, together, Reach.of(loaded.model).vocabulary)))


def _score_batch(
    loaded: LoadedModel,
    task: Task,
    renderer: Renderer,
    batch: Sequence[_Prepared],
    trunk: Trunk,
    size: int,
) -> list[ItemResult]:
    if task.config.score in GENERATED:
        prompts = [item.requests[0].context for item in batch]
        longest = task.config.max_new_tokens
        outputs = generate(loaded, prompts, longest, renderer.stop_ids(), size)
        return [
            score_generated(task, item.row, item.prompt, output)
            for item, output in zip(batch, outputs, strict=True)
        ]
    asked = [request for item in batch for request in item.requests]
    scored = iter(log_likelihoods(loaded, asked, trunk))
    results = []
    for item in batch:
        likelihoods = [next(scored) for _ in item.requests]
        if task.config.score == "multiple_choice":
            results.append(score_choices(task, item.row, item.prompt, likelihoods))
        else:
            results.append(score_text(task, item.row, item.prompt, likelihoods[0]))
    return results
