"""How many items a run scored in this process."""

from __future__ import annotations

from collections import Counter

from forgetless.progress import Progress


class Counting(Progress):
    """Counts the items of each task that each stage scores; those scored before do not count."""

    def __init__(self) -> None:
        self.items: Counter[tuple[str, str]] = Counter()
        self._stage = ""
        self._done: dict[tuple[str, str], int] = {}

    def stage(self, run: str, name: str, number: int, last: int) -> None:
        self._stage = name

    def scored(self, task: str, done: int, total: int) -> None:
        cell = self._stage, task
        self.items[cell] += done - self._done.get(cell, done)
        self._done[cell] = done
