"""In which settings two resolved plans differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Settings that differ, by their dotted keys; None where a plan lacks one.

    Args:
        one: A resolved plan as plain data.
        other: Another.

    Example:
        >>> differences({"training": {"seed": 0}, "ask": []}, {"training": {"seed": 1}})
        [('training.seed', 0, 1)]
    """
    first, second = _flat(one), _flat(other)
    return [
        (key, first.get(key), second.get(key))
        for key in dict.fromkeys((*first, *second))
        if first.get(key) != second.get(key)
    ]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping):
        pairs = [(f"{prefix}{key}", inner) for key, inner in value.items()]
    elif isinstance(value, list | tuple):
        pairs = [(f"{prefix}{index}", inner) for index, inner in enumerate(value)]
    else:
        return {prefix.rstrip("."): value}
    return {key: leaf for name, inner in pairs for key, leaf in _flat(inner, f"{name}.").items()}
