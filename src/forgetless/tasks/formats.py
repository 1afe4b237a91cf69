"""Raw records into rows: which of the usual shapes a record has, and what is wrong with it.

Recognised shapes, in this order (field names can be mapped in the plan):

========================  ===========================================================
fields                    meaning
========================  ===========================================================
messages                  a chat: ``[{"role": ..., "content": ...}, ...]``
question, choices, answer multiple choice; answer is a choice, its letter or its index (from 0)
prompt, completion        one exchange, each text or a list of messages
question, answer          one exchange
text                      plain text, all of it learned
========================  ===========================================================

``aliases`` (further right answers), ``id`` and ``group`` (rows that are not independent, such as
the questions on one passage) are read where present.  A number as the answer is an index unless the
choices are numbers too; text that is one of the choices is that choice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Literal, cast, get_args

from forgetless.tasks.row import Role, Row, Turn

Format = Literal["messages", "multiple_choice", "prompt_completion", "question_answer", "text"]

FIELDS = (
    *("messages", "question", "choices", "answer", "prompt", "completion", "text"),
    *("aliases", "id", "group", "system"),
)
_SHAPES: tuple[tuple[tuple[str, ...], Format], ...] = (
    (("messages",), "messages"),
    (("question", "choices", "answer"), "multiple_choice"),
    (("prompt", "completion"), "prompt_completion"),
    (("question", "answer"), "question_answer"),
    (("text",), "text"),
)
NEEDED = "messages; question, choices and answer; prompt and completion; or text"


class MalformedRow(ValueError):
    """A record that is not a row; the message says what was found and what was needed."""


def detect_format(columns: set[str]) -> Format | None:
    """The shape that a source with these columns has, or None."""
    for names, shape in _SHAPES:
        if columns.issuperset(names):
            return shape
    return None


def read_row(record: Mapping[str, Any], shape: Format, number: int) -> Row:
    """Turn one record, its fields already mapped to our names, into a row.

    Args:
        record: Field name to value; None counts as absent.
        shape: What :func:`detect_format` found for the source.
        number: Position in the source, from 0; the id of a row that brings none.

    Raises:
        MalformedRow: saying which field is at fault.
    """
    record = {key: value for key, value in record.items() if value is not None}
    identity = _text(record["id"], "id") if "id" in record else str(number)
    about: dict[str, Any] = {
        "aliases": tuple(_text(alias, "aliases") for alias in _list(record, "aliases")),
        "group": _text(record["group"], "group") if "group" in record else "",
    }
    if shape == "text":
        return Row(identity, (), _text(_need(record, "text"), "text"), **about)
    if shape == "messages":
        prompt, answer = _conversation(_messages(_need(record, "messages"), "messages"))
        return Row(identity, prompt, answer, **about)
    system = (Turn("system", _text(record["system"], "system")),) if "system" in record else ()
    if shape == "multiple_choice":
        raw = _list(record, "choices")
        choices = tuple(_text(choice, "choices") for choice in raw)
        numbers = any(isinstance(choice, int | float) for choice in raw)
        answer = _choice(_need(record, "answer"), choices, numbers=numbers)
        question = _text(_need(record, "question"), "question")
        return Row(identity, (*system, Turn("user", question)), answer, choices=choices, **about)
    asked, answered = shape.split("_")
    prompt = _turns(_need(record, asked), asked, "user")
    completion = _turns(_need(record, answered), answered, "assistant")
    prompt, answer = _conversation((*system, *prompt, *completion))
    return Row(identity, prompt, answer, **about)


def _need(record: Mapping[str, Any], field: str) -> Any:
    if field not in record:
        found = ", ".join(sorted(record)) or "nothing"
        raise MalformedRow(f"no {field!r} (found: {found})")
    return record[field]


def _text(value: Any, field: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise MalformedRow(f"{field!r} is {type(value).__name__}, needed text")
    text = str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise MalformedRow(f"{field!r} is {text}, needed text")
    if not text.strip():
        raise MalformedRow(f"{field!r} is empty")
    if "\x00" in text:
        raise MalformedRow(f"{field!r} contains a NUL character")
    return text


def _list(record: Mapping[str, Any], field: str) -> list[Any]:
    """A list field; a CSV cell holds it as JSON or as text separated by ``|``."""
    value = record.get(field, [])
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            value = _json(value, field, "a valid JSON list")
        else:
            value = [part.strip() for part in value.split("|") if part.strip()]
    if not isinstance(value, list | tuple):
        raise MalformedRow(f"{field!r} is {type(value).__name__}, needed a list")
    return list(value)


def _json(cell: str, field: str, needed: str) -> Any:
    """What a CSV cell holds as JSON."""
    try:
        return json.loads(cell)
    except json.JSONDecodeError as error:
        reason = error.msg
    except RecursionError:
        reason = "nested too deeply"
    except ValueError:
        reason = "a number of too many digits"
    raise MalformedRow(f"{field!r} is not {needed}: {reason}")


def _choice(answer: Any, choices: tuple[str, ...], *, numbers: bool) -> str:
    """The right choice, from its text, its letter (A, B, ...) or its index (from 0).

    Args:
        answer: What the record says.
        choices: The choices as text.
        numbers: Whether they are numbers in the record; then a number means one of them.
    """
    if len(choices) < 2:
        raise MalformedRow(f"'choices' has {len(choices)} entries, needed at least 2")
    if len({choice.strip() for choice in choices}) < len(choices):
        raise MalformedRow("'choices' has the same entry twice")
    text = str(answer).strip()
    if numbers or isinstance(answer, str):
        for choice in choices:
            if text == choice.strip():
                return choice
    index = -1
    if len(text) == 1 and text.isascii() and text.isalpha():
        index = ord(text.upper()) - ord("A")
    elif len(text) < 9 and text.removesuffix(".0").isdecimal():
        index = int(text.removesuffix(".0"))
    if 0 <= index < len(choices):
        return choices[index]
    raise MalformedRow(
        f"'answer' {text[:40]!r} is none of the {len(choices)} choices, "
        "nor a letter or an index (from 0) of one"
    )


def _turns(value: Any, field: str, role: Role) -> tuple[Turn, ...]:
    return (
        _messages(value, field) if isinstance(value, list) else (Turn(role, _text(value, field)),)
    )


def _messages(value: Any, field: str) -> tuple[Turn, ...]:
    if isinstance(value, str):  # a CSV cell
        value = _json(value, field, "valid JSON")
    if not isinstance(value, list | tuple) or not value:
        raise MalformedRow(f"{field!r} must be a list of at least one message")
    turns = []
    for index, message in enumerate(value):
        if not isinstance(message, Mapping):
            raise MalformedRow(f"{field}[{index}] is {type(message).__name__}, needed a message")
        role, content = message.get("role"), message.get("content")
        if role not in get_args(Role):
            roles = ", ".join(get_args(Role))
            raise MalformedRow(f"{field}[{index}] has role {role!r}, needed one of {roles}")
        if content is None:
            raise MalformedRow(f"{field}[{index}] has no content")
        turns.append(Turn(cast(Role, role), _text(content, f"{field}[{index}].content")))
    return tuple(turns)


def _conversation(turns: tuple[Turn, ...]) -> tuple[tuple[Turn, ...], str]:
    """Split a conversation into what comes before the last assistant turn, and that turn."""
    *prompt, last = turns
    if last.role != "assistant":
        raise MalformedRow(f"the last message is from {last.role!r}, needed one from 'assistant'")
    if not any(turn.role == "user" for turn in prompt):
        raise MalformedRow("there is no message from 'user' before the last one")
    return tuple(prompt), last.content
