"""What a reply says: its text without reasoning, why it ended, and what its tokens were worth."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forgetless.endpoints.faults import NoAnswer, Transient

THOUGHT = "</think>"


@dataclass(frozen=True)
class Tokens:
    """Tokens of a text with their log-probabilities.

    Attributes:
        texts: Each token's text.
        logprobs: Log-probability of each in nats; None where the server gives no finite one.
        offsets: Where each starts in the text, in characters; empty if the server does not say.
        tops: The likeliest tokens at each place, with their log-probabilities.
    """

    texts: tuple[str, ...]
    logprobs: tuple[float | None, ...]
    offsets: tuple[int, ...]
    tops: tuple[Mapping[str, float], ...]


@dataclass(frozen=True)
class Reply:
    """A reply, read.

    Attributes:
        text: What it says; reasoning is left out.
        finish: Why it ended: ``stop``, ``length``, ``content_filter``, or empty.
        reasoned: Whether there was reasoning before the text.
        tokens: Tokens of the text; None if the server gave none, or those of something else.
        fingerprint: What the server says of its configuration; empty if nothing.
        written: Tokens written, as the server counts them; None if it does not.
        has_text: Whether there was a text at all, if an empty one.
    """

    text: str
    finish: str
    reasoned: bool = False
    tokens: Tokens | None = None
    fingerprint: str = ""
    written: int | None = None
    has_text: bool = True

    def answer(self) -> str:
        """The text, if it is an answer; a model that ends at once has answered with silence.

        Raises:
            NoAnswer: if it was withheld, or there is none.
        """
        if self.finish == "content_filter":
            raise NoAnswer("the endpoint's content filter withheld the answer")
        if text := self.text.strip():
            return text
        if self.finish == "length" and (self.reasoned or not self.text):
            # A model that reasons unseen leaves no text, not even white space.
            used = "reasoning used up" if self.reasoned else "nothing was said within"
            raise NoAnswer(f"{used} the tokens that an answer may have")
        if self.has_text and not self.reasoned and self.finish in ("stop", "length"):
            return ""
        raise NoAnswer("there is no answer in the reply")


def chat_reply(reply: Mapping[str, Any]) -> Reply:
    """Read a reply of ``/chat/completions``.

    Raises:
        Transient: if it is not one.
    """
    choice = _choice(reply)
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise Transient("a reply without a message")
    content = message.get("content")
    if isinstance(content, Sequence) and not isinstance(content, str):
        content = "".join(str(p.get("text", "")) for p in content if isinstance(p, Mapping))
    said = str(content or message.get("refusal") or "")
    text = _without_thought(said)
    aside = bool(message.get("reasoning_content") or message.get("reasoning"))
    tokens = _tokens(choice.get("logprobs")) if text == said else None
    return Reply(
        text=text,
        finish=str(choice.get("finish_reason") or ""),
        reasoned=aside or text != said,
        tokens=tokens if tokens is not None and _begins(text, tokens) else None,
        fingerprint=str(reply.get("system_fingerprint") or ""),
        written=_written(reply),
        has_text=content is not None or bool(said),
    )


def text_reply(reply: Mapping[str, Any]) -> Reply:
    """Read a reply of ``/completions``.

    Raises:
        Transient: if it is not one.
    """
    choice = _choice(reply)
    text = choice.get("text")
    if not isinstance(text, str):
        raise Transient("a reply without a text")
    return Reply(
        text=text,
        finish=str(choice.get("finish_reason") or ""),
        tokens=_tokens(choice.get("logprobs")),
        fingerprint=str(reply.get("system_fingerprint") or ""),
        written=_written(reply),
    )


def _choice(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = reply.get("choices")
    if not (isinstance(choices, list) and choices and isinstance(choices[0], Mapping)):
        raise Transient("a reply without choices")
    return choices[0]


def _written(reply: Mapping[str, Any]) -> int | None:
    usage = reply.get("usage")
    written = usage.get("completion_tokens") if isinstance(usage, Mapping) else None
    return written if isinstance(written, int) else None


def _without_thought(text: str) -> str:
    """What follows a reasoning block that a server left in the text."""
    if THOUGHT in text:
        return text.rpartition(THOUGHT)[2].lstrip()
    return "" if text.lstrip().startswith("<think>") else text


def _begins(text: str, tokens: Tokens) -> bool:
    """Whether a text begins with these tokens; some servers give those of the reasoning."""
    first = tokens.texts[0].strip() if tokens.texts else ""
    return bool(first) and text.lstrip().startswith(first)


def _tokens(given: Any) -> Tokens | None:
    """Tokens in the form of chat completions, or of completions."""
    if not isinstance(given, Mapping):
        return None
    if isinstance(content := given.get("content"), list) and content:
        if not all(isinstance(token, Mapping) for token in content):
            return None
        return Tokens(
            tuple(str(token.get("token", "")) for token in content),
            tuple(finite_number(token.get("logprob")) for token in content),
            (),
            tuple(_listed(token.get("top_logprobs")) for token in content),
        )
    texts, logprobs = given.get("tokens"), given.get("token_logprobs")
    if not (isinstance(texts, list) and isinstance(logprobs, list) and texts):
        return None
    offsets, tops = given.get("text_offset"), given.get("top_logprobs")
    if len(texts) != len(logprobs):
        return None
    return Tokens(
        tuple(map(str, texts)),
        tuple(map(finite_number, logprobs)),
        _whole_numbers(offsets, len(texts)),
        tuple(_mapped(top) for top in tops) if isinstance(tops, list) else (),
    )


def _whole_numbers(values: Any, count: int) -> tuple[int, ...]:
    """Whole numbers, if they are that and so many."""
    if not (isinstance(values, list) and len(values) == count):
        return ()
    return tuple(values) if all(isinstance(value, int) for value in values) else ()


def _listed(tops: Any) -> dict[str, float]:
    """``[{token, logprob}, ...]``; of two tokens with one text both count."""
    found: dict[str, float] = {}
    for top in tops if isinstance(tops, list) else ():
        value = finite_number(top.get("logprob")) if isinstance(top, Mapping) else None
        if value is not None:
            text = str(top.get("token", ""))
            found[text] = log_sum((found[text], value)) if text in found else value
    return found


def _mapped(tops: Any) -> dict[str, float]:
    """``{token: logprob}``."""
    pairs = tops.items() if isinstance(tops, Mapping) else ()
    worths = ((str(text), finite_number(value)) for text, value in pairs)
    return {text: worth for text, worth in worths if worth is not None}


def finite_number(value: Any) -> float | None:
    """A finite number of a reply; None for ``auto``, ``-Infinity`` and whatever else is none."""
    told = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if told and abs(value) <= sys.float_info.max else None


def log_sum(values: Sequence[float]) -> float:
    """``log(sum(exp(values)))`` without overflow; minus infinity for none."""
    largest = max(values, default=-math.inf)
    if not math.isfinite(largest):
        return largest
    return largest + math.log(sum(math.exp(value - largest) for value in values))
