"""A model made of arithmetic behind a server made for tests, with the faults of real ones.

Its tokens are words, single signs and white space; a token's log-probability depends on the token
before it alone, so that every answer can be computed by hand.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from tests.endpoints.faults import Answer

Echo = Literal["right", "ignored", "off by one", "without logprobs", "start sign"]

VOCABULARY = (" A", " B", " C", " D", " red", " blue", " of", " is", ".", "<end>")


def tokens(text: str) -> list[str]:
    """A text cut up."""
    return re.findall(r" ?\w+|[^\w]", text)


def logprobs(before: str) -> dict[str, float]:
    """Log-probabilities of all tokens of the vocabulary after one token."""
    weights = {
        token: 1.0 + (sum(map(ord, before)) * 31 + sum(map(ord, token)) * 17) % 23
        for token in VOCABULARY
    }
    total = math.log(sum(weights.values()) * 1.25)  # a fifth is left to all other tokens
    return {token: math.log(weight) - total for token, weight in weights.items()}


def logprob(before: str, token: str) -> float:
    """Log-probability of a token after another."""
    return logprobs(before).get(token, -12.0)


def greedy(text: str, count: int) -> list[str]:
    """The likeliest tokens after a text, as far as it does not end."""
    said: list[str] = []
    last = tokens(text)[-1]
    while len(said) < count:
        options = logprobs(last)
        last = max(options, key=lambda token: options[token])
        if last == "<end>":
            break
        said.append(last)
    return said


@dataclass
class Scripted:
    """What the server can do, and what is wrong with it.

    Attributes:
        model: The one model it has.
        key: The key it wants; empty for none.
        say: What it says in chat to the last message.
        first: Log-probabilities of the first token in chat.
        chat: Whether it has ``/chat/completions``.
        completions: Whether it has ``/completions``.
        letters: Whether chat gives log-probabilities.
        most_tops: How many likeliest tokens it gives at most.
        echo: How it echoes.
        endless: Whether ``max_tokens`` of 0 means as many as there are.
        finish: Why its answers end.
        message: What else is in its messages.
        refuses: Fields of a request to which it says no.
        counts: Whether it counts tokens.
    """

    model: str = "toy"
    key: str = ""
    say: Callable[[str], str] = lambda _: "A"
    first: dict[str, float] = field(default_factory=lambda: {"A": -0.1, "B": -3.0})
    chat: bool = True
    completions: bool = True
    letters: bool = True
    most_tops: int = 20
    echo: Echo = "right"
    endless: bool = False
    finish: str = "stop"
    message: dict[str, Any] = field(default_factory=dict)
    refuses: Sequence[str] = ()
    counts: bool = True

    def __call__(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        sent = headers.get("authorization", headers.get("Authorization", ""))
        if self.key and sent != f"Bearer {self.key}":
            return 401, {"error": {"message": f"Incorrect API key provided: {sent}"}}
        if path == "/models":
            return 200, {"data": [{"id": self.model, "created": 1700000000}]}
        if body.get("model") != self.model:
            return 404, {"error": {"message": f"The model {body.get('model')} does not exist"}}
        for name in self.refuses:
            if name in body:
                return 400, {"error": {"message": f"Unsupported parameter: {name}"}}
        tops = body.get("top_logprobs", body.get("logprobs") or 0)
        if tops > self.most_tops:
            return 400, {"error": {"message": f"logprobs must be at most {self.most_tops}"}}
        if path == "/chat/completions" and self.chat:
            return 200, self._chat(body)
        if path == "/completions" and self.completions:
            return 200, self._completion(body)
        return 404, {"error": {"message": f"no such address: {path}"}}

    def _chat(self, body: dict[str, Any]) -> dict[str, Any]:
        content = self.say(body["messages"][-1]["content"])
        choice: dict[str, Any] = {
            "index": 0,
            "finish_reason": self.finish,
            "message": {"role": "assistant", "content": content, **self.message},
        }
        if body.get("logprobs") and self.letters:
            likeliest = max(self.first, key=lambda token: self.first[token])
            choice["logprobs"] = {"content": [{
                "token": likeliest, "logprob": self.first[likeliest],
                "top_logprobs": [
                    {"token": token, "logprob": value} for token, value in self.first.items()
                ],
            }]}  # fmt: skip
        return self._reply(choice, len(body["messages"]), len((content or "").split()))

    def _completion(self, body: dict[str, Any]) -> dict[str, Any]:
        prompt, count = body["prompt"], body.get("max_tokens", 16)
        said = greedy(prompt, 500 if self.endless and not count else count)
        echo = bool(body.get("echo")) and self.echo != "ignored"
        before = tokens(prompt)
        shown = [*before, *said] if echo else said
        choice: dict[str, Any] = {
            "index": 0, "finish_reason": "length", "text": "".join(shown)
        }  # fmt: skip
        if body.get("logprobs") and not (echo and self.echo == "without logprobs"):
            choice["logprobs"] = self._logprobs(before, said, echo)
        return self._reply(choice, len(before), len(said))

    def _logprobs(self, before: list[str], said: list[str], echo: bool) -> dict[str, Any]:
        whole = [*before, *said]
        values: list[float | None] = [None]
        values += [logprob(last, token) for last, token in pairwise(whole)]
        tops: list[dict[str, float] | None] = [None, *map(logprobs, whole[:-1])]
        if echo and self.echo == "off by one":
            values = [None, *(logprob(token, token) for token in whole[1:])]
        start = 0 if echo else len(before)
        offsets = [sum(map(len, whole[:number])) for number in range(len(whole))]
        found: dict[str, list[Any]] = {
            "tokens": whole[start:],
            "token_logprobs": values[start:],
            "text_offset": offsets[start:],
            "top_logprobs": tops[start:],
        }
        if echo and self.echo == "start sign":
            found["token_logprobs"][0] = logprob("<s>", whole[0])
            start_sign = {"tokens": "<s>", "text_offset": 0}
            for name, listed in found.items():
                listed.insert(0, start_sign.get(name))
        return found

    def _reply(self, choice: dict[str, Any], read: int, written: int) -> dict[str, Any]:
        usage = {"prompt_tokens": read, "completion_tokens": written}
        return {
            "choices": [choice],
            "system_fingerprint": "fp_1",
            **({"usage": usage} if self.counts else {}),
        }
