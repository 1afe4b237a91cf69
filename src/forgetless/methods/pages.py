"""The documentation page of each method, read where no documentation is at hand.

The wheel carries the pages of ``docs/methods``; a checkout has them there.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

_PACKAGED = "pages"
_HEAD = re.compile(r"\*\*([^*]+?)\.?\*\*\s*")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")


def page(name: str) -> dict[str, str]:
    """What a method's page says under its headings.

    Args:
        name: The method.

    Returns:
        Heading of a paragraph (``When to use it``, ``Cost``, ``Source``, ...) to its text, without
        links and line breaks, in the order of the page.

    Raises:
        FileNotFoundError: if the installation is incomplete.
    """
    packaged = files("forgetless.methods") / _PACKAGED / f"{name}.md"
    checkout = Path(__file__).parents[3] / "docs" / "methods" / f"{name}.md"
    source = packaged if packaged.is_file() else checkout
    found = {}
    for paragraph in source.read_text(encoding="utf-8").split("\n\n"):
        if head := _HEAD.match(paragraph):
            found[head[1]] = _one_line(paragraph[head.end() :])
    return found


def cost(name: str) -> str:
    """What a method costs, in a sentence.

    Example:
        >>> cost("sequential")
        'None beyond training.'
    """
    first, stop, _ = page(name)["Cost"].partition(". ")
    return first + stop.rstrip()


def _one_line(text: str) -> str:
    return " ".join(_LINK.sub(r"\1", text).replace("`", "").replace("**", "").split())
