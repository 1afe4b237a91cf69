"""A model on this machine as a subject: asked with its own tokenizer and template."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from forgetless.errors import DataError
from forgetless.evaluation.grading import GENERATED
from forgetless.evaluation.likelihood import Request, log_likelihoods, put_together
from forgetless.evaluation.result import ItemResult
from forgetless.evaluation.scorer import score_task
from forgetless.evaluation.subject import Conditions, Usage
from forgetless.models.identity import template_hash, tokenizer_hash
from forgetless.models.load import LoadedModel
from forgetless.models.opening import Opening
from forgetless.models.reach import Reach
from forgetless.tasks.render import Renderer
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task


class LocalSubject:
    """A local model that can be asked.

    Args:
        name: As the user named it.
        kind: ``hub``, ``folder``, ``adapter``, ``gguf`` or ``object``.
        tokenizer: Renders the requests; the model itself is loaded when first asked.
        opening: The way to the model.
        identity: Hash of all that decides its answers.
        batch_size: Most sequences in one forward pass.
        details: What a report shows beside the name.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        tokenizer: Any,
        opening: Opening,
        identity: str,
        batch_size: int,
        details: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.usage = Usage()
        self._tokenizer = tokenizer
        self._opening = opening
        self._identity = identity
        self._batch_size = batch_size
        self._details = dict(details or {})

    def identity(self) -> str:
        """Hash of weights, adapter, tokenizer, template, dtype, device and versions."""
        return self._identity

    def details(self) -> Mapping[str, str]:
        """What a report shows beside the name."""
        return self._details

    def notes(self) -> Sequence[str]:
        """Nothing: a local model is asked as the task says."""
        return ()

    @contextmanager
    def model(self) -> Iterator[LoadedModel]:
        """The model itself, loaded, with the tokenizer that it is asked with."""
        with self._opening.use() as loaded:
            yield LoadedModel(loaded.model, self._tokenizer)

    def conditions(self, task: Task) -> Conditions:
        """Prompts, tokens, template, items, generation and scorer of a task, as hashes."""
        task, renderer = self._settled(task)
        prompts, tokens = [], []
        for row in task.test:
            try:
                prompts.append(renderer.prompt(row) if row.prompt else "")
                tokens.append(_tokens(task, renderer, row))
            except DataError as fault:
                prompts.append(fault.message)
        config = task.config
        return Conditions(
            {
                "items": task.test_hash(),
                "prompts": _digest(prompts),
                "tokens": _digest(tokens),
                "generation": _digest(_generation(task, renderer)),
                "scorer": f"{config.score}, normalise {config.normalise}",
                "chat template": template_hash(self._tokenizer),
                "tokenizer": tokenizer_hash(self._tokenizer),
            }
        )

    def request(self, task: Task, row: Row) -> str:
        """Hash of the tokens of an item, how it is scored, and what counts as right."""
        task, renderer = self._settled(task)
        try:
            tokens = _tokens(task, renderer, row)
        except DataError as fault:
            return _digest(["refused", fault.message])
        config = task.config
        scored = [config.score, config.normalise, _generation(task, renderer), row.content_hash()]
        return _digest([tokens, scored])

    def answer(self, task: Task, rows: Sequence[Row]) -> Iterator[list[ItemResult]]:
        """Ask some items; generated answers get the likelihood of the gold answer as well."""
        task, renderer = self._settled(task)
        with self.model() as loaded:
            for results in score_task(loaded, replace(task, test=rows), self._batch_size):
                if task.config.score in GENERATED:
                    by_id = {row.id: row for row in rows}
                    yield _with_gold_likelihood(loaded, renderer, by_id, results, self._batch_size)
                else:
                    yield results

    def close(self) -> None:
        """Let go of the model."""
        self._opening.close()

    def _settled(self, task: Task) -> tuple[Task, Renderer]:
        """The task with its rendering decided, which some of its items alone might not tell."""
        style = task.style(self._tokenizer)
        settled = replace(task, config=task.config.model_copy(update={"render": style}))
        return settled, settled.renderer(self._tokenizer)


def _with_gold_likelihood(
    loaded: LoadedModel,
    renderer: Renderer,
    rows: Mapping[str, Row],
    results: Sequence[ItemResult],
    batch_size: int,
) -> list[ItemResult]:
    """Add how likely the gold answer is, in nats per token: it outlives a lost format."""
    reach = Reach.of(loaded.model)
    items: list[str] = []
    requests: list[Request] = []
    for result in results:
        row = rows[result.item]
        if result.error is not None or row.rules or not row.answer:  # with rules nothing is gold
            continue
        request = Request(renderer.prompt_ids(row), renderer.continuation_ids(row, row.answer))
        if request.scored and not reach.obstacle(request.ids, loaded.tokenizer):
            items.append(result.item)
            requests.append(request)
    together = put_together(loaded, [[request] for request in requests], batch_size)
    nll: dict[str, float] = {}
    for batch in together.batches:
        scored = log_likelihoods(loaded, [requests[index] for index in batch], together.trunk)
        for index, found in zip(batch, scored, strict=True):
            nll[items[index]] = -found.total / found.tokens
    return [
        replace(result, readings={**result.readings, "nll": nll[result.item]})
        if math.isfinite(nll.get(result.item, math.nan))
        else result
        for result in results
    ]


def _tokens(task: Task, renderer: Renderer, row: Row) -> list[Any]:
    """Everything that the model reads for one item."""
    prompt = renderer.prompt_ids(row) if row.prompt else []
    answers = row.choices if task.config.score == "multiple_choice" else (row.answer,)
    return [prompt, [renderer.continuation_ids(row, answer) for answer in answers if answer]]


def _generation(task: Task, renderer: Renderer) -> list[Any]:
    if task.config.score not in GENERATED:
        return []
    return ["greedy", task.config.max_new_tokens, renderer.stop_ids()]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=True).encode()).hexdigest()
