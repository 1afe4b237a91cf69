"""A finished run as a Python object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from forgetless.errors import UsageError
from forgetless.layout import WEIGHTS, stage_folder

if TYPE_CHECKING:
    from forgetless.metrics import ScoreMatrix, Summary
    from forgetless.report import ReportFiles, RunResults
    from forgetless.report.budget import BudgetOutcome


@dataclass(frozen=True)
class RunResult:
    """What a run folder holds.

    Attributes:
        path: The run folder.
    """

    path: Path

    def __init__(self, path: str | Path) -> None:
        object.__setattr__(self, "path", Path(path))  # as it is frozen

    @cached_property
    def results(self) -> RunResults:
        """Everything the folder holds, item by item."""
        from forgetless.report import read_run

        return read_run(self.path)

    @property
    def matrix(self) -> ScoreMatrix:
        """The score matrix R: R[i, j] is the score on task j after stage i; row 0 is untouched."""
        return self.results.matrix

    @cached_property
    def summary(self) -> Summary:
        """All figures with their intervals, or the reason why one is absent."""
        from forgetless.metrics import summarise

        return summarise(self.matrix)

    @property
    def forgetting(self) -> dict[str, float | None]:
        """Per task, best earlier score minus final score; positive is lost, None not measured."""
        return {task.name: task.forgetting.value for task in self.summary.tasks}

    @cached_property
    def budget(self) -> BudgetOutcome | None:
        """What came of the plan's budget; None where it has none."""
        from forgetless.report.budget import budget_outcome

        return budget_outcome(self.results)

    def model_path(self, stage: int = -1) -> Path:
        """Folder of the model (or adapter) after a stage; loads with plain transformers or peft.

        Args:
            stage: Number of the stage; -1 is the last.

        Raises:
            UsageError: if there is no such stage, it is not trained yet, or its model is not saved
                here: stage 0 is the untouched one, and a provider keeps its own.
        """
        from forgetless.report.data import TO_COME

        planned = {entry.index: entry for entry in self.results.stages if entry.index > 0}
        trained = [index for index, entry in planned.items() if entry.state != TO_COME]
        number = stage if stage >= 0 else len(planned) + 1 + stage
        if number not in trained:
            raise UsageError(
                f"{self.path}: no model of stage {stage}",
                fix=f"its trained stages: {', '.join(map(str, trained)) or 'none yet'}",
            )
        folder = stage_folder(self.path, planned[number].name)
        for kind in WEIGHTS:
            if (folder / kind).is_dir():
                return folder / kind
        why = "it was deleted or moved" if planned[number].hosted is None else "a provider keeps it"
        raise UsageError(f"{folder}: the model is not here; {why}")

    def report(self, *others: RunResult, to: str | Path | None = None) -> ReportFiles:
        """Write report.html, report.md and report.json.

        Args:
            others: Further runs to put beside this one.
            to: Folder to write to; the run folder if none.
        """
        from forgetless.report import write_report

        return write_report([self.path, *(other.path for other in others)], Path(to or self.path))
