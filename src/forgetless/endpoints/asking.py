"""Putting items to an endpoint, several at once; each comes back as a result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from forgetless.endpoints.client import Attempts, Client
from forgetless.endpoints.config import EndpointConfig
from forgetless.endpoints.echo import likelihood_of
from forgetless.endpoints.faults import WRONG_REQUEST, NoAnswer, Refused, Unanswered
from forgetless.endpoints.letters import chosen_in, labels, letter_logprobs
from forgetless.endpoints.replies import Reply, chat_reply, text_reply
from forgetless.endpoints.ways import (
    Abilities,
    Asked,
    Body,
    Way,
    answer_body,
    asked,
    bodies,
    letter_body,
)
from forgetless.errors import DataError, RunFailed
from forgetless.evaluation.grading import (
    failure,
    score_choices,
    score_generated,
    score_picked,
    score_text,
)
from forgetless.evaluation.result import ItemResult
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task

IN_A_ROW = 20  # items that fail one after another before the endpoint counts as gone


class Asker:
    """Asks the items of one task.

    Args:
        client: Sends the requests.
        config: How the endpoint is asked.
        can: What the server can do.
        task: Whose items.
        way: In which way.
    """

    def __init__(
        self, client: Client, config: EndpointConfig, can: Abilities, task: Task, way: Way
    ) -> None:
        self._client = client
        self._config = config
        self._can = can
        self._task = task
        self._way = way
        self._failed_in_a_row = 0
        self.read_from_text = 0  # choices whose letter was not among the likeliest tokens

    async def ask_all(self, rows: Sequence[Row], answered: Callable[[ItemResult], None]) -> None:
        """Ask items, each once.

        Raises:
            RunFailed: if the endpoint stopped answering.
        """
        left = iter(rows)  # shared by all workers

        async def work() -> None:
            for row in left:
                answered(await self._ask(row))

        workers = [asyncio.create_task(work()) for _ in range(self._config.concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _ask(self, row: Row) -> ItemResult:
        prompt = ""
        try:
            item = asked(self._task, row, self._way)
            prompt = item.prompt
            result = await self._answered(row, item, Attempts(self._config.retries))
        except (Unanswered, Refused) as fault:
            self._count_failure(fault)
            return failure(self._task, row, prompt, fault.message)
        except (NoAnswer, DataError) as fault:
            self._failed_in_a_row = 0
            return failure(self._task, row, prompt, fault.message)
        self._failed_in_a_row = 0
        return result

    def _count_failure(self, fault: Unanswered | Refused) -> None:
        """Give up on an endpoint that answers nothing, instead of waiting on for each item.

        A request that the server finds wrong (400, 422) says nothing about the next.
        """
        if isinstance(fault, Refused) and fault.status in WRONG_REQUEST | {413}:
            return
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= IN_A_ROW:
            raise RunFailed(
                f"{self._config.base_url} stopped answering: {IN_A_ROW} items one after another "
                f"failed, the last one with: {fault.message}",
                fix="run the same command again when it answers; what was answered is kept",
            )

    async def _answered(self, row: Row, item: Asked, attempts: Attempts) -> ItemResult:
        if self._way.mode == "echo":
            return await self._by_echo(row, item, attempts)
        if self._task.config.score == "multiple_choice":
            return await self._by_letter(row, item, attempts)
        output = (await self._send(self._answer_body(item), attempts)).answer()
        return score_generated(self._task, row, item.prompt, output)

    async def _by_echo(self, row: Row, item: Asked, attempts: Attempts) -> ItemResult:
        likelihoods = []
        for body, text in zip(self._bodies(item), item.texts, strict=True):
            reply = await self._client.post("/completions", body, attempts, text_reply)
            likelihoods.append(likelihood_of(reply, item.text, text))
        if self._task.config.score == "multiple_choice":
            return score_choices(self._task, row, item.prompt, likelihoods)
        return score_text(self._task, row, item.prompt, likelihoods[0])

    async def _by_letter(self, row: Row, item: Asked, attempts: Attempts) -> ItemResult:
        """By the likeliest letter as the first token, else by the letter that a text names."""
        letters = labels(row)
        if self._way.mode == "letters":
            body = letter_body(item, self._way, self._can, self._config)
            reply = await self._send(body, attempts)
            tops = reply.tokens.tops if reply.tokens is not None else ()
            found = letter_logprobs(tops[0], letters) if tops else {}
            if found:
                likeliest = max(found, key=lambda number: found[number])
                nll = {"nll": -found[row.gold]} if row.gold in found else {}
                return score_picked(self._task, row, item.prompt, likeliest, readings=nll)
            self.read_from_text += 1
        output = (await self._send(self._answer_body(item), attempts)).answer()
        number = chosen_in(output, letters, row.choices)
        return score_picked(self._task, row, item.prompt, number, output=output)

    async def _send(self, body: Body, attempts: Attempts) -> Reply:
        if self._way.chat:
            return await self._client.post("/chat/completions", body, attempts, chat_reply)
        return await self._client.post("/completions", body, attempts, text_reply)

    def _answer_body(self, item: Asked) -> Body:
        return answer_body(self._task, item, self._way, self._can, self._config)

    def _bodies(self, item: Asked) -> list[Body]:
        return bodies(self._task, item, self._way, self._can, self._config)
