"""Requests to an endpoint: bounded in time, repeated where that can help, counted."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from forgetless.endpoints.config import EndpointConfig
from forgetless.endpoints.faults import (
    Transient,
    Unanswered,
    check_reply,
    check_status,
    id_in,
    message_in,
)
from forgetless.endpoints.key import Key
from forgetless.evaluation.subject import Usage

T = TypeVar("T")

CONNECT_SECONDS = 15.0
SLOWEST_UPLOAD = 1e5  # bytes a second; a file may take as long as this


@dataclass
class Attempts:
    """How often requests for one item may still be repeated.

    Attributes:
        left: Repetitions left.
        made: Repetitions made.
    """

    left: int
    made: int = 0


class Client:
    """Sends requests; for one event loop.

    Args:
        config: Where to, and how patiently.
        key: Sent with every request; taken out of whatever comes back.
        usage: Is counted up.
    """

    def __init__(self, config: EndpointConfig, key: Key, usage: Usage) -> None:
        self._config = config
        self._key = key
        self._usage = usage
        self._not_before = 0.0  # a server that is busy for one request is so for all
        self._jitter = random.Random()  # noqa: S311
        self._http = httpx2.AsyncClient(
            headers={**key.headers(), "User-Agent": "forgetless"},
            limits=httpx2.Limits(max_connections=config.concurrency),
            follow_redirects=False,  # the key goes where the user said, and nowhere else
        )

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        attempts: Attempts,
        read: Callable[[Mapping[str, Any]], T],
    ) -> T:
        """Send a request until there is a reply that can be read.

        Args:
            path: Below the base address, e.g. ``/chat/completions``.
            body: The request.
            attempts: Is counted down.
            read: Makes something of the reply; may raise ``Transient``.

        Returns:
            What was read.

        Raises:
            Unanswered: if there is no reply and nothing left of the attempts.
            Refused: if the server says no.
        """
        return await self._request("POST", path, body, attempts, read)

    async def get(self, path: str, attempts: Attempts, read: Callable[[Mapping[str, Any]], T]) -> T:
        """Fetch, like :meth:`post`."""
        return await self._request("GET", path, None, attempts, read)

    async def upload(self, path: str, name: str, file: Path, fields: Mapping[str, str]) -> str:
        """Send a file, once: whoever sends it again must see whether it has come.

        Args:
            path: Below the base address.
            name: What it is to be called there.
            file: Its content.
            fields: What is sent beside it.

        Returns:
            The id that the server gives it.

        Raises:
            Unanswered: if there is no reply.
            Refused: if the server says no.
        """
        patience = self._config.timeout + file.stat().st_size / SLOWEST_UPLOAD
        try:
            with file.open("rb") as opened:
                sent = {"file": (name, opened, "application/jsonl")}
                reply = await self._once("POST", path, patience, files=sent, data=dict(fields))
            return id_in(reply)
        except Transient as fault:
            raise Unanswered(fault.message, away=fault.away) from None

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        attempts: Attempts,
        read: Callable[[Mapping[str, Any]], T],
    ) -> T:
        while True:
            await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
            try:
                reply = await self._once(method, path, self._config.timeout, json=body)
                self._count(reply)
                return read(reply)
            except Transient as fault:
                await self._wait(fault, attempts)

    async def _once(self, method: str, path: str, seconds: float, **content: Any) -> dict[str, Any]:
        self._usage.requests += 1
        try:
            # The clients' own time-outs are between two bytes; a server may drip for ever.
            async with asyncio.timeout(seconds):
                timeout = httpx2.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))
                url = self._config.base_url + path
                response = await self._http.request(method, url, timeout=timeout, **content)
        except (TimeoutError, httpx2.TimeoutException):
            raise Transient(f"no whole reply within {seconds:g} s", away=True) from None
        except httpx2.HTTPError as error:
            said = self._key.redact(str(error)) or type(error).__name__
            raise Transient(f"the connection failed: {said}", away=True) from None
        # JSON is UTF-8, whatever else a header may say of it.
        text = self._key.redact(response.content.decode("utf-8", errors="replace"))
        headers = {name: self._key.redact(value) for name, value in response.headers.items()}
        try:
            check_status(response.status_code, text, headers)
            reply = json.loads(text)
            check_reply(reply)
        except RecursionError:
            raise Transient("a reply that is nested too deeply") from None
        except ValueError:
            raise Transient(f"a reply that is not JSON: {message_in(text)[:80]!r}") from None
        assert isinstance(reply, dict)
        return reply

    async def _wait(self, fault: Transient, attempts: Attempts) -> None:
        """Wait before the next try, or give up."""
        config = self._config
        if attempts.left < 1:
            tries = f" ({attempts.made + 1} tries)" if attempts.made else ""
            raise Unanswered(fault.message + tries, away=fault.away)
        wait = min(config.longest_wait, config.first_wait * 2**attempts.made)
        wait *= self._jitter.uniform(0.5, 1.0)
        attempts.left -= 1
        attempts.made += 1
        if fault.retry_after is not None:
            asked = min(config.longest_wait, fault.retry_after)
            self._not_before = max(self._not_before, time.monotonic() + asked)
        await asyncio.sleep(wait)

    def _count(self, reply: Mapping[str, Any]) -> None:
        told = reply.get("usage")
        if isinstance(told, dict):
            self._usage.input_tokens += _whole(told.get("prompt_tokens"))
            self._usage.output_tokens += _whole(told.get("completion_tokens"))


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
