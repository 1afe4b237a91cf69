"""The chat format of training files, and its rules.

One JSON object a line, ``{"messages": [{"role": ..., "content": ...}, ...]}``; the assistant's
messages are learned.

Source: the OpenAI API's guide to supervised fine-tuning and its Files API: at least ten examples,
the last message the assistant's, files of at most 512 MB.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from forgetless.endpoints.letters import lettered
from forgetless.errors import DataError
from forgetless.tasks.render import as_messages
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.task import Task

FEWEST_ROWS = 10
ROLES = ("system", "user", "assistant")
KEYS = {"role", "content", "name", "weight"}

Message = Mapping[str, Any]


def messages_of(task: Task, row: Row) -> list[dict[str, str]]:
    """A training row as messages, in the form in which the endpoint is asked a test item.

    Choices are listed under letters, as they are when they are asked, and the letter is learned.

    Raises:
        DataError: if it cannot be said in chat.
    """
    where = f"row {row.id!r} of task {task.name!r}"
    if not row.prompt or task.config.render == "plain":
        what = "is plain text" if not row.prompt else "is to be rendered as plain text"
        raise DataError(
            f"{where} {what}, and a provider's training file holds chats only",
            fix="give the rows a prompt and a completion, and leave  render  at auto",
        )
    if task.config.score == "multiple_choice" and row.choices:
        row = lettered(row, "chat")
    messages = as_messages([*row.prompt, Turn("assistant", row.answer)], task.config.system)
    try:
        check_messages(messages)
    except DataError as error:
        raise DataError(f"{where}: {error.message}") from None
    return messages


def line_of(messages: list[dict[str, str]]) -> str:
    """One line of a training file, its end included."""
    return json.dumps({"messages": messages}, ensure_ascii=False) + "\n"


def check_line(line: str) -> list[dict[str, str]]:
    """The messages of a line of a training file.

    Raises:
        DataError: if it breaks a rule of the format.
    """
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise DataError("not valid JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("messages"), list):
        raise DataError("needed an object with a list of messages")
    if more := sorted(found.keys() - {"messages"}):
        raise DataError(f"{more[0]!r} beside the messages; tools and preferences are not learned")
    check_messages(found["messages"])
    return [{"role": m["role"], "content": m["content"]} for m in found["messages"]]


def check_messages(messages: list[Any]) -> None:
    """Refuse a conversation that breaks a rule.

    Raises:
        DataError: naming the message, from 1.
    """
    for number, message in enumerate(messages, start=1):
        _check_message(message, f"message {number}")
    roles = [message["role"] for message in messages]
    if not roles or roles[-1] != "assistant":
        raise DataError(
            f"the last message is the {roles[-1]}'s, needed the assistant's"
            if roles
            else "there are no messages"
        )
    if "user" not in roles:
        raise DataError("there is no message of a user")


def _check_message(message: Any, where: str) -> None:
    if not isinstance(message, Mapping):
        raise DataError(f"{where} is no object")
    if more := sorted(message.keys() - KEYS):
        raise DataError(f"{where} has {more[0]!r}; only text is learned, no tools")
    if message.get("role") not in ROLES:
        raise DataError(f"{where} has the role {message.get('role')!r}, needed {', '.join(ROLES)}")
    content = message.get("content")
    if not isinstance(content, str) or not content.strip():
        raise DataError(f"{where} has no content")
    if message.get("weight", 1) != 1:
        raise DataError(f"{where} has a weight; every message of the assistant is learned")
