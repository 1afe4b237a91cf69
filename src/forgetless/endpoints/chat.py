"""What ``/chat/completions`` of a server understands, found out by asking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from forgetless.endpoints.client import Attempts, Client
from forgetless.endpoints.config import EndpointConfig
from forgetless.endpoints.echo import TOPS, doubt, fewer
from forgetless.endpoints.faults import WRONG_REQUEST, Refused
from forgetless.endpoints.replies import Reply, Tokens, chat_reply
from forgetless.errors import RunFailed

Message = dict[str, str]

PROBE: Sequence[Message] = ({"role": "user", "content": "Answer with the letter A only."},)
PROBE_TOKENS = 16
REASONING_TOKENS = 4096


@dataclass(frozen=True)
class Chat:
    """What a server's ``/chat/completions`` understands.

    Attributes:
        limit: What it calls the most tokens of an answer.
        greedy: Whether it takes a temperature of 0.
        tops: How many likeliest first tokens it gives; 0: none.
        reasons: Whether the model reasons before it answers.
        extra: What else is sent; see :data:`NO_PENALTIES`.
        fingerprint: What the server says of its configuration.
        why_no_tops: Why there are no likeliest tokens.
    """

    limit: str = "max_tokens"
    greedy: bool = True
    tops: int = TOPS[0]
    reasons: bool = False
    extra: Mapping[str, float] = field(default_factory=dict)
    fingerprint: str = ""
    why_no_tops: str = ""

    def body(
        self, model: str, messages: Sequence[Message], max_tokens: int, *, tops: bool = False
    ) -> dict[str, Any]:
        """A request in the server's words."""
        body: dict[str, Any] = {
            "model": model, "messages": list(messages), self.limit: max_tokens
        }  # fmt: skip
        if self.greedy:
            body["temperature"] = 0
        body |= self.extra
        if tops:
            body |= {"logprobs": True, "top_logprobs": self.tops}
        return body


async def probe_chat(client: Client, config: EndpointConfig, retries: int) -> Chat:
    """Find out what ``/chat/completions`` understands.

    Raises:
        Refused: if the server has no such thing, or not for this model or key.
        Unanswered: if it does not answer.
    """
    chat, tokens = Chat(extra=config.extra), PROBE_TOKENS
    while True:
        body = chat.body(config.model, PROBE, tokens, tops=chat.tops > 0)
        try:
            reply = await client.post("/chat/completions", body, Attempts(retries), chat_reply)
        except RunFailed as fault:
            said = fault.message
            if chat.extra and any(name in said for name in chat.extra):
                chat = replace(chat, extra={})
            elif "max_completion_tokens" in said and chat.limit == "max_tokens":
                chat = replace(chat, limit="max_completion_tokens")
            elif "logprobs" in said and chat.tops:
                chat = replace(chat, tops=fewer(chat.tops), why_no_tops=said)
            elif "temperature" in said and chat.greedy:
                chat = replace(chat, greedy=False)
            elif "output limit" in said and tokens == PROBE_TOKENS:
                chat, tokens = replace(chat, reasons=True), REASONING_TOKENS
            elif chat.extra and isinstance(fault, Refused) and fault.status in WRONG_REQUEST:
                chat = replace(chat, extra={})  # refused without a word why
            else:
                raise
            continue
        return _observed(chat, reply)


def _observed(chat: Chat, reply: Reply) -> Chat:
    reasons = chat.reasons or reply.reasoned or (not reply.text and reply.finish == "length")
    chat = replace(chat, reasons=reasons, fingerprint=reply.fingerprint)
    if not chat.tops:
        return chat
    why_not = "the model reasons before it answers" if reasons else doubt(_first(reply, chat))
    return replace(chat, tops=0 if why_not else chat.tops, why_no_tops=why_not)


def _first(reply: Reply, chat: Chat) -> Tokens | None:
    """The first token alone; where nothing is greedy, any token may have been drawn."""
    tokens = reply.tokens
    if tokens is None or chat.greedy:
        return tokens
    best = tuple(max(tops.values(), default=None) for tops in tokens.tops)
    return replace(tokens, logprobs=best)
