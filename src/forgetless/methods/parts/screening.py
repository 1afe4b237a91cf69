"""What of a model's own text is worth learning again: neither empty, nor stuck, nor a repeat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

GRAM = 3  # tokens
LONG = 16
"""3-grams from which on a text can be too much like another; of shorter ones a single other token
makes another fact, and only the same text is a repeat."""

Grams = frozenset[tuple[int, ...]]


class Screen:
    """Lets texts through one by one and remembers them.

    Args:
        min_tokens: Fewest tokens of a text.
        min_distinct: Least share of different ones among the 3-grams of each of its turns.
        max_overlap: Largest likeness to an earlier text: 3-grams of both over 3-grams of either.
        long: Fewest 3-grams of a text that is held against earlier ones for its likeness.
    """

    def __init__(
        self, min_tokens: int, min_distinct: float, max_overlap: float, long: int = LONG
    ) -> None:
        self._min_tokens = min_tokens
        self._min_distinct = min_distinct
        self._max_overlap = max_overlap
        self._long = long
        self._texts: set[str] = set()
        self._sizes: list[int] = []  # number of 3-grams of each text
        self._holders: dict[tuple[int, ...], list[int]] = {}  # texts that have a 3-gram

    def fault(self, turns: Sequence[Sequence[int]], text: str) -> str | None:
        """What is wrong with a text; one with which nothing is wrong counts as an earlier one.

        Args:
            turns: Token ids of each turn.
            text: All of it as text.
        """
        if not all(turns) or not text.strip() or sum(map(len, turns)) < self._min_tokens:
            return "too short"
        if any(distinct_share(turn) < self._min_distinct for turn in turns):
            return "repetitive"
        plain = " ".join(text.lower().split())
        found = frozenset(gram for turn in turns for gram in _grams(turn))
        alike = len(found) >= self._long and self._likeness(found) > self._max_overlap
        if alike or plain in self._texts:
            return "like an earlier one"
        self._texts.add(plain)
        for gram in found:
            self._holders.setdefault(gram, []).append(len(self._sizes))
        self._sizes.append(len(found))
        return None

    def _likeness(self, grams: Grams) -> float:
        """The largest Jaccard index of these 3-grams and those of an earlier text, in [0, 1]."""
        shared = Counter(text for gram in grams for text in self._holders.get(gram, ()))
        return max(
            (both / (len(grams) + self._sizes[text] - both) for text, both in shared.items()),
            default=0.0,
        )


def distinct_share(ids: Sequence[int]) -> float:
    """Share of different ones among the 3-grams of a text, in (0, 1].

    >>> distinct_share([1, 2, 1, 2, 1, 2])
    0.5
    """
    grams = _grams(ids)
    return len(set(grams)) / len(grams)


def _grams(ids: Sequence[int]) -> list[tuple[int, ...]]:
    """All 3-grams of a text; of a shorter one, the whole."""
    return [tuple(ids[place : place + GRAM]) for place in range(max(1, len(ids) - GRAM + 1))]
