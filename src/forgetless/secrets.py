"""Keys and tokens of the environment, taken out of what is shown."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_NAMES = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS)$", re.IGNORECASE)
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
