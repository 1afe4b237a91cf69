"""Words put into a model's mouth; the fixture ``says`` does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.tiny import build_tokenizer

Script = Callable[[Sequence[Sequence[int]]], list[list[int]]]  # prompts to continuations
Says = Callable[[Script], list[dict[str, Any]]]


def words(text: str) -> list[int]:
    """Token ids of a text."""
    ids: list[int] = build_tokenizer()(text)["input_ids"]
    return ids
