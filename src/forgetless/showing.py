"""What may be shown of texts from outside: no key of the environment, nothing hidden."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping

_NAMES = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS)$", re.IGNORECASE)
_CONTROL_PICTURES = 0x2400
SHORTEST = 8  # characters; shorter ones are placeholders such as EMPTY, and common words


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """A text with the values of secret environment variables replaced by their names.

    Args:
        text: To be shown.
        environment: Name to value; that of this process if none is given.

    Example:
        >>> redact("HTTP 401: hf_abcdefgh", {"HF_TOKEN": "hf_abcdefgh", "HOME": "/home/someone"})
        'HTTP 401: [HF_TOKEN]'
    """
    named = os.environ if environment is None else environment
    secrets = [(value.strip(), name) for name, value in named.items() if _NAMES.search(name)]
    for value, name in sorted(secrets, key=lambda secret: -len(secret[0])):
        if len(value) >= SHORTEST:
            text = text.replace(value, f"[{name}]")
    return text


def visible(text: str) -> str:
    r"""Text from outside with nothing hidden in it.

    Control characters, which could drive a terminal, become their pictures; so do the signs that
    reverse the reading direction, which could make an answer read as another.

    Example:
        >>> visible("a\x1b[31mb\u202ec")
        'a␛[31mb⟨RLO⟩c'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(sign) for sign in text)


def shown(text: str) -> str:
    """A text as it may stand on a terminal: no secret in it, and nothing that drives it."""
    return visible(redact(text))


def _visible(sign: str) -> str:
    code = ord(sign)
    if sign in "\n\t":
        return sign
    if code < 0x20:
        return chr(_CONTROL_PICTURES + code)
    if code == 0x7F:
        return "␡"
    bidirectional = unicodedata.bidirectional(sign)
    if bidirectional in {"RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI"}:
        return f"⟨{bidirectional}⟩"
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(sign) in {"Cc", "Cs"} else sign
