"""In which way a task is put to an endpoint, and the requests that this makes of its items."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from forgetless.endpoints.chat import REASONING_TOKENS, Chat, Message
from forgetless.endpoints.config import EndpointConfig
from forgetless.endpoints.echo import Completions, completion_body, echo_body
from forgetless.endpoints.letters import lettered
from forgetless.errors import DataError, ModelError, UsageError
from forgetless.tasks.render import Renderer, Style, as_messages, continuation, with_examples
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task

Mode = Literal["generation", "letters", "echo"]

Body = dict[str, Any]


@dataclass(frozen=True)
class Way:
    """How a task is put to an endpoint.

    Attributes:
        mode: Whether an answer is generated, a letter's log-probability read, or an echo's.
        style: Whether items are conversations or plain texts.
        chat: Whether they go to ``/chat/completions``; a plain text is a user turn there.
        note: What the user should know about it; empty if nothing.
    """

    mode: Mode
    style: Style
    chat: bool
    note: str = ""


class Abilities:
    """What a server can do.

    Args:
        chat: Its ``/chat/completions``; None if it has none for this model.
        find_completions: Finds out about its ``/completions``; called when a task first needs to
            know, since most hosted models have none.
        no_chat: Why there is no chat.
    """

    def __init__(
        self, chat: Chat | None, find_completions: Callable[[], Completions], no_chat: str = ""
    ) -> None:
        self.chat = chat
        self.no_chat = no_chat
        self._find_completions = find_completions

    def penalties_off(self, way: Way) -> bool:
        """Whether the server was told to penalise no repetition."""
        told = self.chat.extra if way.chat and self.chat is not None else self.completions.extra
        return bool(told)

    @cached_property
    def completions(self) -> Completions:
        """Its ``/completions``."""
        return self._find_completions()


def way_for(task: Task, can: Abilities, config: EndpointConfig) -> Way:
    """Choose how to put a task.

    Raises:
        UsageError: if it cannot be put to this endpoint, or not as wanted.
    """
    if task.config.score == "nll":
        return _echo(task, can)
    plain = _is_plain(task, can)
    if task.config.score != "multiple_choice":
        return _generation(can, plain)
    wanted = config.choices
    if wanted == "echo" or (wanted == "auto" and plain and can.completions.echo):
        return _echo(task, can)
    way = _generation(can, plain)
    if way.chat:
        tops = can.chat.tops if can.chat else 0
        why_not = can.chat.why_no_tops if can.chat else ""
    else:
        tops, why_not = can.completions.tops, can.completions.why_not
    if wanted == "generation":
        return way
    if tops:
        note = f"choices are asked by letter ({can.completions.why_not})" if plain else ""
        return replace(way, mode="letters", note=way.note or note)
    if wanted == "letters":
        raise UsageError(
            f"task {task.name!r}: the endpoint gives no log-probabilities of letters ({why_not})",
            fix="leave it open how choices are asked, or ask them by generation",
        )
    note = f"choices are read from generated text, as the server proves no better ({why_not})"
    return replace(way, note="; ".join(filter(None, (way.note, note))))


def _is_plain(task: Task, can: Abilities) -> bool:
    """Whether items are rendered as plain text, as :meth:`Task.style` decides for local models."""
    if task.config.render == "chat" and can.chat is None:
        raise ModelError(
            f"task {task.name!r} is to be rendered as chat, but the endpoint has none "
            f"({can.no_chat})",
            fix="set  render: plain  for the task, or name a chat model",
        )
    if task.config.render != "auto":
        return task.config.render == "plain"
    if not task.test[0].prompt:
        return True
    if can.chat is None and any(t.role != "user" for row in task.test for t in row.prompt[1:]):
        raise ModelError(
            f"task {task.name!r} has conversations, but the endpoint has no chat ({can.no_chat})",
            fix="set  render: plain  for the task, or name a chat model",
        )
    return can.chat is None


def _generation(can: Abilities, plain: bool) -> Way:
    if plain and can.completions.works:
        return Way("generation", "plain", chat=False)
    assert can.chat is not None, "an endpoint with neither is refused when it is opened"
    if plain:
        note = f"plain texts are asked in chat: no /completions ({can.completions.why_not})"
        return Way("generation", "plain", chat=True, note=note)
    return Way("generation", "chat", chat=True)


def _echo(task: Task, can: Abilities) -> Way:
    what = "log-likelihoods" if task.config.score == "nll" else "log-likelihoods of choices"
    if task.config.render == "chat":
        raise UsageError(
            f"task {task.name!r}: {what} of an endpoint can be had for plain text only, "
            "but it is to be rendered as chat",
            fix="set  render: plain  for the task",
        )
    if not can.completions.echo:
        raise UsageError(
            f"task {task.name!r} needs {what}, but the endpoint's are not proven right: "
            f"{can.completions.why_not}",
            fix="leave the task out, score it otherwise, or serve the model with echoed "
            "logprobs, e.g. with vLLM",
        )
    chatty = task.config.render == "auto" and can.chat is not None and task.test[0].prompt
    note = f"{what} are those of plain text; chat gives none" if chatty else ""
    return Way("echo", "plain", chat=False, note=note)


@dataclass(frozen=True)
class Asked:
    """One item as it goes out.

    Attributes:
        prompt: For a report: the last that the model sees before its answer.
        text: The plain text; empty for a conversation.
        messages: The conversation; empty for plain text that goes to ``/completions``.
        texts: For an echo: the answers as they follow the text.
    """

    prompt: str
    text: str = ""
    messages: tuple[Message, ...] = ()
    texts: tuple[str, ...] = ()


def asked(task: Task, row: Row, way: Way) -> Asked:
    """Render one item.

    Raises:
        DataError: if it cannot be asked.
    """
    if way.mode == "echo":
        return _echoed(task, row)
    shots = task.shots
    if task.config.score == "multiple_choice":
        row = lettered(row, way.style)
        shots = tuple(lettered(shot, way.style) if shot.choices else shot for shot in shots)
    if way.style == "plain":
        text = Renderer(None, "plain", shots=shots).prompt(row)
        if not way.chat:
            return Asked(text, text)
        return Asked(text, messages=({"role": "user", "content": text},))
    messages = as_messages(with_examples(row, shots), task.config.system)
    return Asked(_shown(messages), messages=tuple(messages))


def _echoed(task: Task, row: Row) -> Asked:
    answers = row.choices if task.config.score == "multiple_choice" else (row.answer,)
    if not answers:
        raise DataError("the item has no choices")
    if not row.prompt:
        return Asked("", texts=answers)
    text = Renderer(None, "plain", shots=task.shots).prompt(row)
    return Asked(text, text, texts=tuple(continuation(row, answer) for answer in answers))


def _shown(messages: Sequence[Message]) -> str:
    if len(messages) == 1:
        return messages[0]["content"]
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in messages)


def bodies(task: Task, item: Asked, way: Way, can: Abilities, config: EndpointConfig) -> list[Body]:
    """The requests for one item: one, or for an echo one for each answer."""
    if way.mode == "echo":
        return [echo_body(config.model, item.text + text) for text in item.texts]
    if way.mode == "letters":
        return [letter_body(item, way, can, config)]
    return [answer_body(task, item, way, can, config)]


def letter_body(item: Asked, way: Way, can: Abilities, config: EndpointConfig) -> Body:
    """The request for the first token's log-probabilities."""
    if way.chat:
        assert can.chat is not None
        return can.chat.body(config.model, item.messages, 1, tops=True)
    told = can.completions
    return completion_body(config.model, item.text, 1, logprobs=told.tops, **told.extra)


def answer_body(task: Task, item: Asked, way: Way, can: Abilities, config: EndpointConfig) -> Body:
    """The request for a generated answer."""
    tokens = task.config.max_new_tokens
    if not way.chat:
        return completion_body(config.model, item.text, tokens, **can.completions.extra)
    assert can.chat is not None
    more = config.reasoning_tokens
    if more is None:
        more = REASONING_TOKENS if can.chat.reasons else 0
    return can.chat.body(config.model, item.messages, tokens + more)


def as_text(body: Body) -> str:
    """A request without the model's name, the same whatever the order of its keys."""
    kept = {key: value for key, value in body.items() if key != "model"}
    return json.dumps(kept, sort_keys=True)
