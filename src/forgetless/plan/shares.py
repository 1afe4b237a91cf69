"""Shares as people write them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator


def as_share(text: str) -> float:
    """A share from ``2%`` or ``0.02``.

    Raises:
        ValueError: if it is neither.

    Example:
        >>> as_share("2%"), as_share("0.05")
        (0.02, 0.05)
    """
    number = text.strip()
    try:
        return round(float(number[:-1]) / 100, 12) if number.endswith("%") else float(number)
    except ValueError:
        raise ValueError(f"needed a share such as 2% or 0.02, found {text!r}") from None


def _read(value: Any) -> Any:
    points = _number(value)
    if points is not None and 1 <= points < 100:  # whoever writes 5 means five points
        raise ValueError(f"needed a share below 1, such as {points:g}% or {points / 100:g}")
    return as_share(value) if isinstance(value, str) else value


def _number(value: Any) -> float | None:
    """A number without a percent sign."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


Share = Annotated[float, BeforeValidator(_read)]
"""A number that may be written as text: ``2%`` or ``0.02``."""
