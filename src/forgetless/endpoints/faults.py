"""What can go wrong with one request: to be repeated, given up, or refused by the server."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Mapping
from typing import Any

from forgetless.errors import RunFailed

REPEATED = {408, 409, 425, 429}
AWAY = REPEATED | {502, 503, 504}
WRONG_REQUEST = {400, 422}
SHOWN = 300  # characters of a server's message


class Transient(Exception):
    """A fault that may be gone at the next try.

    Attributes:
        retry_after: Seconds that the server asks to wait; None if it does not say.
        away: Whether there was no reply, or one that says nothing of what the server can do.
    """

    def __init__(
        self, message: str, retry_after: float | None = None, *, away: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.away = away


class Unanswered(RunFailed):
    """No usable reply after all repetitions.

    Attributes:
        away: As of the last :class:`Transient`.
    """

    def __init__(self, message: str, *, fix: str | None = None, away: bool = False) -> None:
        super().__init__(message, fix=fix)
        self.away = away


class Refused(RunFailed):
    """A reply that says no, and would say so again.

    Attributes:
        status: HTTP status.
        said: What the server said.
    """

    def __init__(
        self, status: int, said: str, message: str = "", *, fix: str | None = None
    ) -> None:
        super().__init__(message or f"the server refused (HTTP {status}): {said}", fix=fix)
        self.status = status
        self.said = said


class NoAnswer(RunFailed):
    """A proper reply in which there is no answer."""


def check_status(status: int, text: str, headers: Mapping[str, str]) -> None:
    """Raise what an HTTP status stands for.

    Raises:
        Transient: for a status worth another try.
        Refused: for any other that is not a success.
    """
    if 200 <= status < 300:
        return
    said = message_in(text)
    if 300 <= status < 400:
        said = f"it redirects to {headers.get('location', 'another address')}"
    exhausted = status == 429 and "insufficient_quota" in text  # waiting brings no money
    if (status in REPEATED or status >= 500) and not exhausted:
        raise Transient(f"HTTP {status}: {said}", retry_after(headers), away=status in AWAY)
    raise Refused(status, said)


def check_reply(reply: Any) -> None:
    """Raise for a reply that came as a success but is none.

    Raises:
        Transient: if it is no JSON object, or an error without a status.
        Refused: for an error with the status of a refusal.
    """
    if not isinstance(reply, dict):
        raise Transient(f"a reply that is JSON but no object: {str(reply)[:SHOWN]}")
    error = reply.get("error")
    if error and "training_file" not in reply:  # a job that failed says why in the same place
        said = message_in(json.dumps(reply))
        code = error.get("code") if isinstance(error, dict) else None
        if isinstance(code, int) and 400 <= code < 500:
            check_status(code, json.dumps(reply), {})
        raise Transient(f"an error with HTTP 200: {said}")


def id_in(reply: Mapping[str, Any]) -> str:
    """The id of what a reply is about.

    Raises:
        Transient: if there is none.
    """
    if not reply.get("id"):
        raise Transient("a reply without an id")
    return str(reply["id"])


def message_in(text: str) -> str:
    """What a server says, from the usual places in its reply, cut to a line."""
    try:
        found = json.loads(text)
    except ValueError:
        found = text
    for name in ("error", "message", "detail"):
        if isinstance(found, dict) and found.get(name):
            found = found[name]
    said = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
    said = " ".join(said.split())
    return said if len(said) <= SHOWN else said[: SHOWN - 1] + "…"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait from the ``Retry-After`` header: a number, or a date.

    Source: RFC 9110, section 10.2.3.
    """
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
