"""Log-likelihoods from echoed prompts, believed only after a proof.

Some servers ignore ``echo`` or ``logprobs`` and answer with success; one is off by one: it gives
each token's log-probability at the place after it.  So a few tokens are generated with their
log-probabilities, then echoed as part of the prompt, and must be worth the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from forgetless.endpoints.client import Attempts, Client
from forgetless.endpoints.config import EndpointConfig
from forgetless.endpoints.faults import WRONG_REQUEST, NoAnswer, Refused, Unanswered
from forgetless.endpoints.replies import Reply, Tokens, text_reply
from forgetless.errors import RunFailed
from forgetless.evaluation.grading import Likelihood

PROBES = ("The capital of France is", "One, two, three, four,")
PROBE_TOKENS = 4
TOPS = (20, 5)  # likeliest tokens asked for; some servers give at most 5
TOLERANCE = 1e-2  # nats; the same token on the same server, in one pass or step by step
_CUT_CHARACTER = ("�", "bytes:")  # how servers write a token that is part of a character


@dataclass(frozen=True)
class Completions:
    """What a server's ``/completions`` can do.

    Attributes:
        works: Whether there is such a thing for this model.
        tops: How many likeliest tokens it gives at each place; 0: none.
        echo: Whether its echoed log-probabilities are proven right.
        extra: What else is sent.
        why_not: Why one of them is not so.
    """

    works: bool
    tops: int = 0
    echo: bool = False
    extra: Mapping[str, float] = field(default_factory=dict)
    why_not: str = ""


def completion_body(model: str, prompt: str, max_tokens: int, **more: Any) -> dict[str, Any]:
    """A greedy request to ``/completions``."""
    body = {"model": model, "prompt": prompt, "max_tokens": max_tokens, "temperature": 0}
    return body | more


def echo_body(model: str, text: str) -> dict[str, Any]:
    """A request for the log-probabilities of a text.

    One token is generated, too, since no tokens at all mean an endless answer to some servers and
    are an error to others.
    """
    return completion_body(model, text, 1, logprobs=1, echo=True)


async def probe_completions(client: Client, config: EndpointConfig, retries: int) -> Completions:
    """Find out what ``/completions`` can do.

    Raises:
        Unanswered: if the server is away, so that nothing is found out.
    """
    model, found = config.model, Completions(True, TOPS[0], extra=config.extra)
    probes = list(PROBES)
    while probes:
        asked = {"logprobs": found.tops} if found.tops else {}
        body = completion_body(model, probes[0], PROBE_TOKENS, **asked, **found.extra)
        try:
            reply = await client.post("/completions", body, Attempts(retries), text_reply)
        except RunFailed as fault:
            if "logprobs" in fault.message and found.tops:
                found = replace(found, tops=fewer(found.tops), why_not=fault.message)
            elif found.extra and isinstance(fault, Refused) and fault.status in WRONG_REQUEST:
                found = replace(found, extra={})
            elif isinstance(fault, Unanswered) and fault.away:
                raise
            else:
                return Completions(False, why_not=fault.message)
            continue
        if not found.tops:
            return found
        if why_not := doubt(reply.tokens):
            return replace(found, tops=0, why_not=why_not)
        try:
            why_not = await _disprove(client, model, probes[0], reply, retries)
        except NoAnswer as unfit:  # nothing proven; another text may do
            found = replace(found, why_not=unfit.message)
            probes.pop(0)
            continue
        except (Refused, Unanswered) as fault:
            if isinstance(fault, Unanswered) and fault.away:
                raise
            why_not = fault.message
        return replace(found, echo=not why_not, why_not=why_not)
    return found


def fewer(tops: int) -> int:
    """The next smaller number of likeliest tokens to ask for; 0: none."""
    return next((number for number in TOPS if number < tops), 0)


def doubt(tokens: Tokens | None) -> str:
    """Why greedily generated tokens' log-probabilities cannot be what they should be; or empty."""
    if tokens is None or not tokens.tops or not tokens.tops[0]:
        return "it ignores logprobs"
    for text, logprob, tops in zip(tokens.texts, tokens.logprobs, tokens.tops, strict=False):
        if logprob is None or logprob > TOLERANCE:
            return f"the log-probability of {text!r} is {logprob}"
        if logprob < max(tops.values(), default=logprob) - TOLERANCE:
            return f"{text!r} is not the likeliest token, though none is to be drawn"
    return ""


async def _disprove(client: Client, model: str, probe: str, told: Reply, retries: int) -> str:
    """Why the echoed log-probabilities are wrong; empty if they are right.

    Raises:
        NoAnswer: if the echoed tokens are not those generated, so that nothing is proven.
    """
    assert told.tokens is not None
    said = "".join(told.tokens.texts)
    reply = await client.post(
        "/completions", echo_body(model, probe + said), Attempts(retries), text_reply
    )
    if reason := broken_promise(reply, probe + said):
        return reason
    assert reply.tokens is not None
    start, end = _span(reply.tokens, probe, said)
    if reply.tokens.texts[start:end] != told.tokens.texts:
        raise NoAnswer("it cuts a text into other tokens when it is echoed")
    if len({probe.split()[-1], *(text.strip() for text in told.tokens.texts)}) < 3:
        raise NoAnswer("it repeats one word, whose places cannot be told apart")
    for text, once, again in zip(
        told.tokens.texts, told.tokens.logprobs, reply.tokens.logprobs[start:end], strict=True
    ):
        assert once is not None
        if again is None or abs(once - again) > TOLERANCE:
            worth = "none" if again is None else f"{again:.3f}"
            return f"{text!r} has log-probability {once:.3f} when generated, {worth} when echoed"
    return ""


def broken_promise(reply: Reply, text: str) -> str:
    """What was asked for and not done; empty if all was."""
    if not reply.text.startswith(text):
        return "it ignores echo"
    if reply.tokens is None:
        return "it echoes without log-probabilities"
    if (reply.written or 0) > 1:
        return f"it wrote {reply.written} tokens where 1 was the most"
    return ""


def likelihood_of(reply: Reply, context: str, continuation: str) -> Likelihood:
    """How likely a continuation is after a context, from an echo of both.

    The first token of a text is never scored, since nothing predicts it.

    Raises:
        NoAnswer: if it cannot be read from the reply.
    """
    if reason := broken_promise(reply, context + continuation):
        raise NoAnswer(reason)
    assert reply.tokens is not None
    start, end = _span(reply.tokens, context, continuation)
    logprobs = reply.tokens.logprobs[max(start, 1) : end]
    numbers = [value for value in logprobs if value is not None]
    if not numbers or len(numbers) < len(logprobs):
        raise NoAnswer("a token of the answer has no log-probability")
    return Likelihood(sum(numbers), len(numbers))


def _span(tokens: Tokens, context: str, continuation: str) -> tuple[int, int]:
    """From which token to which the continuation goes.

    A sign for the start of the text, which some servers list, counts for nothing.
    """
    whole = context + continuation
    for skipped in (0, 1):
        texts = tokens.texts[skipped:]
        if "".join(texts).startswith(whole):
            lengths = itertools.accumulate(map(len, texts), initial=0)
            return _between([*[-1] * skipped, *lengths], context, whole)
    if tokens.offsets and any(mark in text for text in tokens.texts for mark in _CUT_CHARACTER):
        return _between([*tokens.offsets, len(whole)], context, whole)
    raise NoAnswer("the echoed tokens are not those of the text")


def _between(starts: list[int], context: str, whole: str) -> tuple[int, int]:
    if len(context) not in starts:
        raise NoAnswer("no token starts where the answer does")
    end = next((n for n, start in enumerate(starts) if start >= len(whole)), len(starts) - 1)
    return starts.index(len(context)), end
