"""The key of an endpoint: sent, and shown nowhere."""

from __future__ import annotations

import json
import os
from typing import NoReturn
from urllib.parse import quote

from forgetless.errors import UsageError

HIDDEN = "[key]"
SHORTEST, SURE = 8, 20  # characters that a secret has at least; that make a secret of any word


class Key:
    """A key that no text shows.

    Args:
        value: The key; empty for an endpoint that wants none.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    @classmethod
    def from_environment(cls, variable: str) -> Key:
        """The key in an environment variable; empty where that is not set.

        Raises:
            UsageError: if it holds what no key can, for instance the line break of a paste.
        """
        value = os.environ.get(variable, "").strip()
        if not (value.isascii() and value.isprintable() and " " not in value):
            raise UsageError(
                f"${variable} holds white space or signs that no key has",
                fix=f"set it again:  export {variable}=...",
            )
        return cls(value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def headers(self) -> dict[str, str]:
        """The headers that carry it."""
        return {"Authorization": f"Bearer {self._value}"} if self._value else {}

    def redact(self, text: str) -> str:
        """A text without the key, however it is written in it."""
        if not self._is_secret:
            return text
        for written in (
            self._value,
            json.dumps(self._value)[1:-1],
            json.dumps(self._value)[1:-1].replace("/", r"\/"),
            quote(self._value, safe=""),
        ):
            text = text.replace(written, HIDDEN)
        return text

    @property
    def _is_secret(self) -> bool:
        """Whether this is no placeholder such as EMPTY, anything or 00000000.

        Those are words and numbers that answers may hold, which are scored as they are.
        """
        plain = self._value.isalpha() or self._value.isdigit()
        return len(self._value) >= (SURE if plain else SHORTEST)

    def __repr__(self) -> str:
        return "Key(hidden)" if self._value else "Key(none)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not written anywhere")
