"""Text as it is spelt in a plan and in the settings of a command."""

from __future__ import annotations

import json
import re

import yaml


def yaml_text(value: str) -> str:
    """A text as a YAML scalar; JSON strings are valid YAML."""
    plain = re.fullmatch(r"[A-Za-z./][\w./-]*", value) and yaml.safe_load(value) == value
    return value if plain else json.dumps(value, ensure_ascii=False)


def setting(key: str, value: str) -> str:
    """What ``--set`` takes to give a key of a plan a text, before the shell's own quotes.

    >>> setting("output", "runs/first"), setting("output", "runs/first #1")
    ('output=runs/first', 'output="runs/first #1"')
    """
    return f"{key}={yaml_text(value)}"
