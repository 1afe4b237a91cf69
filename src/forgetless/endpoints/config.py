"""Where an endpoint is and how it is asked."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2

from forgetless.errors import UsageError
from forgetless.plan import ENDPOINT

PREFIX = ENDPOINT
OPENAI = "https://api.openai.com/v1"

NO_PENALTIES: Mapping[str, float] = {"repeat_penalty": 1.0, "repetition_penalty": 1.0}
"""Sent where a server takes it: llama_cpp.server penalises what was said before, also in the
prompt, unless told not to, and vLLM does what the model's generation settings say."""

Choices = Literal["auto", "letters", "echo", "generation"]


@dataclass(frozen=True)
class EndpointConfig:
    """Where an endpoint is and how it is asked.

    Attributes:
        model: The model's name at the endpoint.
        base_url: Address up to and with ``/v1``; without a key in it.
        key_variable: Environment variable that holds the key.
        concurrency: Most requests under way at once.
        timeout: Seconds that one whole reply may take.
        retries: Requests that may be repeated for one item, all its requests together.
        first_wait: Seconds before the first repetition; doubled each time, drawn from its upper
            half.
        longest_wait: Most seconds before a repetition, also where the server asks for more.
        choices: How multiple choice is asked; ``auto``: by echoed log-likelihoods for plain
            prompts, else by letters, else by generation, whatever the server proves able to do.
        reasoning_tokens: Tokens that a model may write before its answer; None: 4096 if it is
            seen to reason, else 0.
    """

    model: str
    base_url: str = OPENAI
    key_variable: str = "OPENAI_API_KEY"
    concurrency: int = 8
    timeout: float = 120.0
    retries: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    choices: Choices = "auto"
    reasoning_tokens: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", self.base_url.strip().rstrip("/"))
        self._check_address()
        if not self.model:
            raise UsageError(
                "openai: is followed by no model's name", fix="name one, e.g.  openai:gpt-4o-mini"
            )
        if self.concurrency < 1:
            raise UsageError(f"concurrency is {self.concurrency}, needed at least 1")
        if not (math.isfinite(self.timeout) and self.timeout > 0):
            raise UsageError(f"timeout is {self.timeout}, needed a number of seconds above 0")
        if self.retries < 0:
            raise UsageError(f"retries is {self.retries}, needed at least 0")

    @classmethod
    def named(cls, name: str, base_url: str | None = None, **settings: Any) -> EndpointConfig:
        """The endpoint that ``openai:NAME`` or ``openai:NAME@ADDRESS`` stands for.

        Args:
            name: ``openai:NAME``, with or without its own address.
            base_url: The address where the name has none; None: ``$OPENAI_BASE_URL``, or
                OpenAI's own.
            settings: Other attributes of this class.

        Raises:
            UsageError: for an address or a setting that cannot be used.
        """
        model, own, address = name.removeprefix(PREFIX).partition("@http")
        if own:
            base_url = f"http{address}"
        address = base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI
        return cls(model=model, base_url=address, **settings)

    @property
    def is_openai(self) -> bool:
        """Whether this is OpenAI's own address, which never answers without a key."""
        return self.base_url == OPENAI

    @property
    def extra(self) -> Mapping[str, float]:
        """What is sent beside the usual settings, to begin with."""
        return {} if self.is_openai else NO_PENALTIES

    @property
    def is_exposed(self) -> bool:
        """Whether a key would travel unencrypted over a network."""
        parts = urlsplit(self.base_url)
        return parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1")

    def _check_address(self) -> None:
        """Raise unless the address is one, and safe to show."""
        try:
            parts = urlsplit(self.base_url)
            host, credentials = parts.hostname, parts.username or parts.password
            parts.port  # noqa: B018 - raises for a port that is none
            httpx2.URL(self.base_url)  # as whoever sends requests reads it
        except (ValueError, httpx2.InvalidURL):
            # not shown, nor what is wrong with it: what is in there may be a key
            raise UsageError(
                "the endpoint's address cannot be read",
                fix=f"give one such as  http://localhost:8000/v1  and the key in "
                f"${self.key_variable}",
            ) from None
        if credentials or parts.query or parts.fragment or (not host and "@" in self.base_url):
            raise UsageError(
                "the endpoint's address holds a user, a query or a fragment; it is shown in "
                "reports, so no key may be in it",
                fix=f"give the bare address, and the key in ${self.key_variable}",
            )
        if parts.scheme not in ("http", "https") or not host:
            raise UsageError(
                f"{self.base_url!r} is not the address of an endpoint",
                fix="give one such as  http://localhost:8000/v1",
            )
