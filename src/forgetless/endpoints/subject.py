"""A model behind an endpoint as someone who can be asked."""

from __future__ import annotations

import hashlib
import json
import queue
from collections.abc import Iterator, Mapping, Sequence

from forgetless.endpoints.asking import Asker
from forgetless.endpoints.background import Background
from forgetless.endpoints.chat import probe_chat
from forgetless.endpoints.client import Client
from forgetless.endpoints.config import PREFIX, EndpointConfig
from forgetless.endpoints.echo import Completions, probe_completions
from forgetless.endpoints.faults import Refused, Unanswered
from forgetless.endpoints.key import Key
from forgetless.endpoints.opening import NO_USE_ASKING_ON, listed_models, refusal
from forgetless.endpoints.ways import Abilities, Way, as_text, asked, bodies, way_for
from forgetless.errors import DataError, ModelError, UsageError
from forgetless.evaluation.result import ItemResult
from forgetless.evaluation.subject import Conditions, Usage
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task

RETRIES_AT_START = 2  # a wrong address should be told within seconds


class EndpointSubject:
    """A model behind an OpenAI-compatible endpoint.

    Whether it can be reached, and what its server can do, is found out when it is made.

    Args:
        config: Where it is and how it is asked.
        key: Its key; None: from the environment variable that the configuration names.

    Raises:
        UsageError: if it cannot be reached, or refuses the key, the address or the model.
    """

    kind = "endpoint"

    def __init__(self, config: EndpointConfig, key: Key | None = None) -> None:
        self.config = config
        self.name = PREFIX + config.model
        self.usage = Usage()
        self._key = Key.from_environment(config.key_variable) if key is None else key
        if config.is_openai and not self._key:
            raise UsageError(
                f"{self.name}: OpenAI wants a key, but ${config.key_variable} is not set",
                fix=f"export {config.key_variable}=...  or give the address of another endpoint: "
                "--base-url http://localhost:8000/v1",
            )
        self._client = Client(config, self._key, self.usage)
        self._background = Background()
        self._ways: dict[str, tuple[str, Way]] = {}  # by settings of the task
        self._read_from_text = 0
        self._retries = min(RETRIES_AT_START, config.retries)
        try:
            self._listed = self._background.run(listed_models(self._client))
            self._can = self._opened()
        except BaseException:
            self.close()
            raise

    def identity(self) -> str:
        """Hash of the address and the model's name.

        What a server says besides may be another at every look: some give the time of the request
        as that of the model's making, and the fingerprint of whichever machine answered.
        """
        told = [self.config.base_url, self.config.model]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def details(self) -> Mapping[str, str]:
        """Address, model, and what the server says about it."""
        told = {
            "endpoint": self.config.base_url,
            "model": self.config.model,
            "created": self._listed.get(self.config.model, ""),
            "system_fingerprint": self._can.chat.fingerprint if self._can.chat else "",
        }
        return {name: value for name, value in told.items() if value}

    def notes(self) -> Sequence[str]:
        """What the user should know about how it was asked so far."""
        notes = [f"task {name!r}: {way.note}" for name, way in self._ways.values() if way.note]
        if self._can.chat is not None and not self._can.chat.greedy:
            notes.append("it takes no temperature of 0: its answers vary from time to time")
        if self._can.chat is not None and self._can.chat.reasons:
            notes.append("it reasons before it answers; reasoning is not scored")
        if self._read_from_text:
            notes.append(
                f"{self._read_from_text} choices were read from generated text, since no letter "
                "was among the likeliest first tokens"
            )
        if self._key and self.config.is_exposed:
            notes.append("the key travels unencrypted; use an https address")
        return notes

    def conditions(self, task: Task) -> Conditions:
        """How the task will be put; equal for two endpoints that are asked alike.

        Raises:
            UsageError: if it cannot be put to this endpoint.
        """
        way = self._way(task)
        settings = {
            "temperature": "0" if self._can.chat is None or self._can.chat.greedy else "server's",
            "penalties": "off" if self._can.penalties_off(way) else "server's",
            "max_new_tokens": task.config.max_new_tokens,
            "reasoning_tokens": self.config.reasoning_tokens,
        }
        scorer = [task.config.score, task.config.normalise]
        digest = hashlib.sha256()
        for row in task.test:
            digest.update(json.dumps([row.id, self._prompt(task, row)]).encode() + b"\n")
        return Conditions({
            "items": task.test_hash(),
            "prompts": digest.hexdigest(),
            "mode": f"{way.mode}, {way.style}{' in chat' if way.chat else ''}",
            "generation": json.dumps(settings, sort_keys=True),
            "scorer": json.dumps(scorer),
        })  # fmt: skip

    def request(self, task: Task, row: Row) -> str:
        """Hash of the requests for one item, without the model's name."""
        way = self._way(task)
        asked_for = [way.mode, task.config.score, task.config.normalise, self._sent(task, row)]
        return hashlib.sha256(json.dumps(asked_for).encode()).hexdigest()

    def answer(self, task: Task, rows: Sequence[Row]) -> Iterator[list[ItemResult]]:
        """Ask some items, several at once; results come as they are there.

        Raises:
            UsageError: if the task cannot be put to this endpoint.
            RunFailed: if the endpoint stopped answering; what came before is right.
        """
        asker = Asker(self._client, self.config, self._can, task, self._way(task))
        answered: queue.SimpleQueue[ItemResult | None] = queue.SimpleQueue()
        work = self._background.start(asker.ask_all(rows, answered.put))
        work.add_done_callback(lambda _: answered.put(None))
        try:
            while (first := answered.get()) is not None:
                batch = [first]
                over = False
                while not answered.empty() and not over:
                    more = answered.get()
                    over = more is None
                    batch += [] if more is None else [more]
                yield batch
                if over:
                    break
            work.result()
        finally:
            work.cancel()
            self._read_from_text += asker.read_from_text

    def close(self) -> None:
        """Close all connections; what is under way is given up."""
        self._background.close(self._client.close)

    def _opened(self) -> Abilities:
        """What the server can do; raises if that is nothing."""
        probe = probe_chat(self._client, self.config, self._retries)
        try:
            return Abilities(self._background.run(probe), self._probed_completions)
        except (Refused, Unanswered) as fault:
            if not isinstance(fault, Refused) or fault.status in NO_USE_ASKING_ON:
                raise refusal(self.config, self._key, fault, self._listed) from None
            can = Abilities(None, self._probed_completions, fault.message)
            if not can.completions.works:
                raise refusal(self.config, self._key, fault, self._listed) from None
            return can

    def _probed_completions(self) -> Completions:
        probe = probe_completions(self._client, self.config, self._retries)
        try:
            return self._background.run(probe)
        except Unanswered as fault:
            raise ModelError(
                f"{self.name}: {self.config.base_url}/completions does not answer: {fault.message}",
                fix="run the same command again when it does; tasks with  render: chat  do without",
            ) from None

    def _way(self, task: Task) -> Way:
        settings = task.config.model_dump_json()
        if settings not in self._ways:
            self._ways[settings] = task.name, way_for(task, self._can, self.config)
        return self._ways[settings][1]

    def _sent(self, task: Task, row: Row) -> list[str]:
        """The requests for one item as text, without the model's name; or why there are none."""
        way = self._way(task)
        try:
            item = asked(task, row, way)
        except DataError as error:
            return [error.message]
        return [as_text(body) for body in bodies(task, item, way, self._can, self.config)]

    def _prompt(self, task: Task, row: Row) -> list[object]:
        """An item as rendered, without settings."""
        try:
            item = asked(task, row, self._way(task))
        except DataError as error:
            return [error.message]
        return [item.text, item.messages, item.texts]
