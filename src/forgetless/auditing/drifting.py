"""Drift of every model after from the one before, on the prompts of the audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from forgetless.auditing.result import Drift
from forgetless.auditing.subjects import refuse_endpoints
from forgetless.auditing.tasks import AskedTask
from forgetless.evaluation.drift import kl_per_position, prompt_log_probabilities
from forgetless.evaluation.local import LocalSubject
from forgetless.evaluation.subject import Subject

if TYPE_CHECKING:
    import torch


class DriftMeter:
    """Remembers what the first model expects, and compares every later one with it.

    Args:
        tasks: Whose prompts are read.
    """

    def __init__(self, tasks: Sequence[AskedTask]) -> None:
        self._tasks = [one.task for one in tasks if one.task is not None]
        self._before: dict[str, dict[str, torch.Tensor]] | None = None
        self.found: dict[str, list[Drift]] = {}

    def refuse_others(self, subjects: Sequence[Subject]) -> None:
        """Make sure of all models before the first is asked.

        Raises:
            UsageError: if one is no local model.
        """
        refuse_endpoints(
            subjects,
            "drift needs all log-probabilities, which an endpoint does not give",
            fix="leave out --drift",
        )

    def measure(self, subject: Subject, label: str) -> None:
        """Read the prompts with one model, the model before first."""
        import torch

        assert isinstance(subject, LocalSubject)
        with subject.model() as loaded:
            expected = {task.name: prompt_log_probabilities(loaded, task) for task in self._tasks}
        if self._before is None:
            self._before = expected
            return
        self.found[label] = []
        for name, before in self._before.items():
            after = expected[name]
            moved = [kl_per_position(before[item], after[item]) for item in before if item in after]
            if moved:
                each = torch.cat(moved)
                self.found[label].append(Drift(name, len(each), float(each.mean())))
