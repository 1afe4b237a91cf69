"""Drift of every model after from the one before, on the prompts of the audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from forgetless.auditing.result import Drift
from forgetless.auditing.subjects import refuse_endpoints
from forgetless.auditing.tasks import AskedTask
from forgetless.evaluation.drift import mean_kl, prompt_log_probabilities
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
        self._before: dict[str, torch.Tensor] | None = None
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
        assert isinstance(subject, LocalSubject)
        expected = {}
        with subject.model() as loaded:
            for task in self._tasks:
                found = prompt_log_probabilities(loaded, task)
                if found is not None:
                    expected[task.name] = found
        if self._before is None:
            self._before = expected
            return
        self.found[label] = []
        for name, before in self._before.items():
            after = expected[name]
            width = min(before.shape[1], after.shape[1])  # a padded embedding has more rows
            self.found[label].append(
                Drift(name, len(before), mean_kl(before[:, :width], after[:, :width]))
            )
