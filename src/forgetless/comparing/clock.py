"""What each part of each stage takes."""

from __future__ import annotations

import json
import time
from pathlib import Path

from forgetless.progress import Progress
from forgetless.storage import write_json

LEARNING = "learning what must be kept"

# Parts of a stage that are not the price of a method: every run loads, and what is scored is the
# benchmark's choice.
NOT_COUNTED = frozenset({"start", "loading the model", "scoring"})


class CostClock(Progress):
    """Adds up what each part of each stage takes.

    Args:
        file: Where that is kept, for a run that is cut off to go on from; nowhere if None.
        made_of: What tells the run from another one of its name; kept beside.

    Attributes:
        parts: CPU and wall seconds by stage and part.
    """

    def __init__(self, file: Path | None = None, made_of: str = "") -> None:
        self._file = file
        self._made_of = made_of
        self.parts: dict[str, dict[str, tuple[float, float]]] = {}
        if file is not None and file.is_file():
            before = json.loads(file.read_text(encoding="utf-8"))["parts"]
            self.parts = {
                stage: {part: (cpu, wall) for part, (cpu, wall) in parts.items()}
                for stage, parts in before.items()
            }
        self._stage = self._part = ""
        self._since = (time.process_time(), time.perf_counter())

    def stage(self, run: str, name: str, number: int, last: int) -> None:
        """A stage begins."""
        self._next("start")
        self._stage = name

    def working(self, what: str) -> None:
        """Another part of the stage begins."""
        self._next(what)

    def trained(self, step: int, steps: int, loss: float) -> None:
        """A step ends; what came before the first of them was more than the step."""
        self._next("training")

    def scored(self, task: str, done: int, total: int) -> None:
        """Scoring begins or goes on."""
        self._next("scoring")

    @property
    def of_all_stages(self) -> set[str]:
        """The parts that any stage had."""
        return {part for parts in self.parts.values() for part in parts}

    def total(self, stage: str, only: str | None = None) -> tuple[float, float]:
        """CPU and wall seconds of a stage, or of one part of it."""
        counted = [
            spent
            for part, spent in self.parts.get(stage, {}).items()
            if (part not in NOT_COUNTED if only is None else part == only)
        ]
        return sum(cpu for cpu, _ in counted), sum(wall for _, wall in counted)

    def _next(self, part: str) -> None:
        now = (time.process_time(), time.perf_counter())
        parts = self.parts.setdefault(self._stage, {})
        cpu, wall = parts.get(self._part, (0.0, 0.0))
        parts[self._part] = (cpu + now[0] - self._since[0], wall + now[1] - self._since[1])
        if part != self._part and self._file is not None and self._file.parent.is_dir():
            write_json(self._file, {"made_of": self._made_of, "parts": self.parts})
        self._part, self._since = part, now
