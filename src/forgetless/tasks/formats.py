"""Raw records into rows: which of the usual shapes a record has, and what is wrong with it.

Recognised shapes, in this order (field names can be mapped in the plan):

========================  ===========================================================
fields                    meaning
========================  ===========================================================
messages                  a chat: ``[{"role": ..., "content": ...}, ...]``
conversations             a chat as ShareGPT has it: ``[{"from": ..., "value": ...}, ...]``
question, choices, answer multiple choice; answer is a choice, its letter or its index (from 0)
prompt, completion        one exchange, each text or a list of messages
instruction, output       one exchange as Alpaca has it; ``input`` and ``history`` may be there
question, answer          one exchange
text                      plain text, all of it learned
========================  ===========================================================

These are the shapes of TRL, Axolotl and LLaMA-Factory; a chat may use either spelling of its
messages.  Every assistant turn is learned, so that a turn marked as not to be learned is refused.

``aliases`` (further right answers), ``id`` and ``group`` (rows that are not independent, such as
the questions on one passage) are read where present.  A number as the answer is an index unless the
choices are numbers too; text that is one of the choices is that choice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, cast, get_args

from forgetless.tasks.parsing import Number
from forgetless.tasks.row import Role, Row, Turn

Format = Literal[
    "messages",
    "conversations",
    "multiple_choice",
    "prompt_completion",
    "instruction",
    "question_answer",
    "text",
]

FIELDS = (
    *("messages", "conversations", "question", "choices", "answer", "prompt", "completion"),
    *("instruction", "input", "output", "history", "text", "aliases", "id", "group", "system"),
)
_SHAPES: tuple[tuple[tuple[str, ...], Format], ...] = (
    (("messages",), "messages"),
    (("conversations",), "conversations"),
    (("question", "choices", "answer"), "multiple_choice"),
    (("prompt", "completion"), "prompt_completion"),
    (("instruction", "output"), "instruction"),
    (("question", "answer"), "question_answer"),
    (("text",), "text"),
)
NEEDED = (
    "messages; conversations; question, choices and answer; prompt and completion; instruction and "
    "output; question and answer; or text"
)
# What other tools call the roles in messages that are spelt with "from".
_SPEAKERS: Mapping[str, Role] = {
    "human": "user",
    "user": "user",
    "prompter": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "function_call": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
}


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
    system = _system(record)
    if shape in ("messages", "conversations"):
        turns = _messages(_need(record, shape), shape)
        own = any(turn.role == "system" for turn in turns)
        prompt, answer = _conversation(turns if own else (*system, *turns))
        return Row(identity, prompt, answer, **about)
    if shape == "instruction":
        exchange = (Turn("user", _instruction(record)),)
        answered = Turn("assistant", _text(_need(record, "output"), "output"))
        prompt, answer = _conversation((*system, *_history(record), *exchange, answered))
        return Row(identity, prompt, answer, **about)
    if shape == "multiple_choice":
        raw = _list(record, "choices")
        choices = tuple(_text(choice, "choices") for choice in raw)
        numbers = any(isinstance(choice, int | float | Number) for choice in raw)
        answer = _choice(_need(record, "answer"), choices, numbers=numbers)
        question = _text(_need(record, "question"), "question")
        return Row(identity, (*system, Turn("user", question)), answer, choices=choices, **about)
    asks, answers = shape.split("_")
    prompt = _turns(_need(record, asks), asks, "user")
    completion = _turns(_need(record, answers), answers, "assistant")
    prompt, answer = _conversation((*system, *prompt, *completion))
    return Row(identity, prompt, answer, **about)


def _system(record: Mapping[str, Any]) -> tuple[Turn, ...]:
    """The system turn that a field of its own brings; an empty one is none."""
    value = record.get("system", "")
    return () if value == "" else (Turn("system", _text(value, "system")),)


def _instruction(record: Mapping[str, Any]) -> str:
    """An instruction and, on a line of its own, what it is about."""
    text = _text(_need(record, "instruction"), "instruction")
    about = record.get("input", "")
    return text if about == "" else f"{text}\n{_text(about, 'input')}"


def _history(record: Mapping[str, Any]) -> tuple[Turn, ...]:
    """Earlier exchanges: pairs of what was asked and what was answered."""
    turns: list[Turn] = []
    for index, pair in enumerate(_list(record, "history")):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise MalformedRow(f"history[{index}] must be a pair: a question and its answer")
        turns.append(Turn("user", _text(pair[0], f"history[{index}][0]")))
        turns.append(Turn("assistant", _text(pair[1], f"history[{index}][1]")))
    return tuple(turns)


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
        return json.loads(cell, parse_float=Number)
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
        numbers: Whether they are numbers in the record; then a number is one of them, and no index.
    """
    if len(choices) < 2:
        raise MalformedRow(f"'choices' has {len(choices)} entries, needed at least 2")
    meaning = _amount if numbers else str.strip
    if len(set(map(meaning, choices))) < len(choices):
        raise MalformedRow("'choices' has the same entry twice")
    text = str(answer).strip()
    if numbers or isinstance(answer, str):
        for choice in choices:
            if meaning(text) == meaning(choice):
                return choice
    index = -1
    if len(text) == 1 and text.isascii() and text.isalpha():
        index = ord(text.upper()) - ord("A")
    elif not numbers and len(text) < 9 and text.removesuffix(".0").isdecimal():
        index = int(text.removesuffix(".0"))
    if 0 <= index < len(choices):
        return choices[index]
    others = "the letter" if numbers else "a letter or an index (from 0)"
    why = "; choices that are numbers have no index" if numbers else ""
    raise MalformedRow(
        f"'answer' {text[:40]!r} is none of the {len(choices)} choices, nor {others} of one{why}"
    )


def _amount(text: str) -> Decimal | str:
    """The number that a text is, however it is written, or else the text."""
    try:
        amount = Decimal(text.strip())
    except InvalidOperation:
        return text.strip()
    return amount if amount.is_finite() else text.strip()


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
        place = f"{field}[{index}]"
        if not isinstance(message, Mapping):
            raise MalformedRow(f"{place} is {type(message).__name__}, needed a message")
        role, content = _role(message, place), message.get("content", message.get("value"))
        if content is None:
            raise MalformedRow(f"{place} has no content")
        weight, train = message.get("weight"), message.get("train")
        unlearned = weight is False or _amount(str(weight)) == 0 or train is False
        if role == "assistant" and unlearned:
            raise MalformedRow(
                f"{place} is marked as not to be learned, but every assistant turn is"
            )
        turns.append(Turn(role, _text(_joined(content), f"{place}.content")))
    return tuple(turns)


def _role(message: Mapping[str, Any], place: str) -> Role:
    if "role" not in message and "from" in message:
        speaker = message["from"]
        if speaker not in _SPEAKERS:
            known = ", ".join(_SPEAKERS)
            raise MalformedRow(f"{place} is from {speaker!r}, needed one of {known}")
        return _SPEAKERS[speaker]
    role = message.get("role")
    if role not in get_args(Role):
        roles = ", ".join(get_args(Role))
        raise MalformedRow(f"{place} has role {role!r}, needed one of {roles}")
    return cast("Role", role)


def _joined(content: Any) -> Any:
    """The text of a content that is a list of parts, if all of them are text."""
    if not isinstance(content, list) or not content:
        return content
    texts = [part.get("text") if isinstance(part, Mapping) else None for part in content]
    spoken = [text for text in texts if isinstance(text, str)]
    return "".join(spoken) if len(spoken) == len(content) else content


def _conversation(turns: tuple[Turn, ...]) -> tuple[tuple[Turn, ...], str]:
    """Split a conversation into what comes before the last assistant turn, and that turn."""
    *prompt, last = turns
    if last.role != "assistant":
        raise MalformedRow(f"the last message is from {last.role!r}, needed one from 'assistant'")
    if not any(turn.role == "user" for turn in prompt):
        raise MalformedRow("there is no message from 'user' before the last one")
    return tuple(prompt), last.content
