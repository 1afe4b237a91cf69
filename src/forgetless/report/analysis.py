"""From saved runs to everything the report says: figures, judgements, comparisons.

Every form of the report is made from one :class:`Report`, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from forgetless.metrics import (
    Figure,
    Interval,
    ScoreMatrix,
    Summary,
    cell_intervals,
    estimate,
    gap_closed,
    learned_score,
    summarise,
)
from forgetless.report.budget import BudgetOutcome, budget_outcome, told
from forgetless.report.changes import ChangedItem, SharedWords, changed_items, shared_words
from forgetless.report.data import RunResults, TaskInfo
from forgetless.report.outcome import TaskOutcome, judge_tasks
from forgetless.report.same_items import beside
from forgetless.report.side_by_side import arm_titles, check_side_by_side

LEVEL = 0.95
"""Confidence level of every interval in the report, each on its own."""

DRAWS = 2000
"""Resampled matrices behind each interval."""


@dataclass(frozen=True, slots=True)
class Against:
    """An arm against plain sequential training on one task, over the items both were asked.

    Attributes:
        final: Final score here less the one there; positive = this arm ended higher.
        learned: Score right after learning here less the one there.
    """

    final: Figure
    learned: Figure


@dataclass(frozen=True, slots=True)
class Arm:
    """One run of the report.

    Attributes:
        title: Its label, with the name of the run where two arms share a label.
        run: What was read from disk.
        summary: All figures.
        scores: The score matrix by (row, task name), without the cells that were not measured.
        intervals: Interval of each score, where there is one.
        outcomes: What became of each task, in the order of the columns.
        gap_closed: How far the arm goes from sequential (0) to joint training (1).
        against: By task, the arm against the sequential arm; empty without one.
        budget: What came of its retention budget; ``None`` without one.
    """

    title: str
    run: RunResults
    summary: Summary
    scores: Mapping[tuple[int, str], float]
    intervals: Mapping[tuple[int, str], Interval]
    outcomes: tuple[TaskOutcome, ...]
    gap_closed: Figure
    against: Mapping[str, Against]
    budget: BudgetOutcome | None = None

    def outcome(self, task: str) -> TaskOutcome:
        """What became of one task."""
        return next(outcome for outcome in self.outcomes if outcome.task.name == task)


@dataclass(frozen=True, slots=True)
class Report:
    """One or several runs over the same tasks, side by side.

    Attributes:
        arms: In the order given, sequential first and joint last.
        sequential: The arm without protection: the lower bound.
        joint: The arm that trained all tasks at once: the upper bound.
        changes: The items that some arm lost or gained.
        shared: By task, the words that all its prompts share and ``changes`` leave out.
        level: Confidence level of every interval.
        warnings: What a reader must know before trusting the numbers.
    """

    arms: tuple[Arm, ...]
    sequential: Arm | None
    joint: Arm | None
    changes: tuple[ChangedItem, ...]
    shared: Mapping[str, SharedWords]
    level: float
    warnings: tuple[str, ...]

    @property
    def tasks(self) -> tuple[TaskInfo, ...]:
        """The columns, as the first arm has them."""
        return self.arms[0].run.tasks

    @property
    def sequences(self) -> tuple[Arm, ...]:
        """The arms that train one task after another: all but joint, unless it stands alone."""
        return tuple(arm for arm in self.arms if arm is not self.joint) or self.arms


def analyse(
    runs: Sequence[RunResults], *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> Report:
    """Compute everything that the report says.

    Args:
        runs: At least one run; several must have the same tasks.
        level: Confidence level of the intervals.
        draws: Resampled matrices behind each interval.
        seed: Seed of the intervals; the same seed gives the same report.

    Raises:
        RunFolderError: if there is no run, or the runs cannot stand side by side.
    """
    warnings = list(check_side_by_side(runs))
    ordered = sorted(runs, key=lambda run: 2 if run.is_joint else 0 if run.is_sequential else 1)
    sequential = next((run for run in ordered if run.is_sequential and not run.is_joint), None)
    joint = next((run for run in ordered if run.is_joint), None)
    find = partial(estimate, draws=draws, level=level, seed=seed)
    arms = [
        Arm(
            title=title,
            run=run,
            summary=(summary := _summary(run, joint, draws=draws, level=level, seed=seed)),
            scores=_scores(run.matrix),
            intervals=cell_intervals(run.matrix, draws=draws, level=level, seed=seed),
            outcomes=judge_tasks(run, summary, draws=draws, level=level, seed=seed),
            gap_closed=_gap_closed(run, sequential, joint, find),
            against=_against(run, sequential, find),
            budget=budget_outcome(run),
        )
        for title, run in zip(arm_titles(ordered), ordered, strict=True)
    ]
    for arm in arms:
        about = f"{arm.title}: " if len(arms) > 1 else ""
        warnings += [f"{about}{text}" for text in (told(arm.budget) if arm.budget else ())]
    shared = shared_words(ordered[0])
    by_run = {id(arm.run): arm for arm in arms}
    return Report(
        arms=tuple(arms),
        sequential=by_run[id(sequential)] if sequential else None,
        joint=by_run[id(joint)] if joint else None,
        changes=tuple(changed_items([(arm.title, arm.run) for arm in arms], shared)),
        shared=shared,
        level=level,
        warnings=tuple(warnings),
    )


def _summary(run: RunResults, joint: RunResults | None, **how: Any) -> Summary:
    if run is not joint:
        return summarise(run.matrix, beside(run, joint) if joint else None, **how)
    summary = summarise(run.matrix, **how)
    own = Figure(None, None, "it is the joint run itself")
    tasks = tuple(replace(task, intransigence=own) for task in summary.tasks)
    return replace(summary, tasks=tasks, average_intransigence=own)


def _scores(matrix: ScoreMatrix) -> dict[tuple[int, str], float]:
    return {
        (row, task.name): value
        for row, line in enumerate(matrix.values)
        for task, value in zip(matrix.tasks, line, strict=True)
        if value is not None
    }


def _gap_closed(
    run: RunResults,
    sequential: RunResults | None,
    joint: RunResults | None,
    find: Callable[..., Figure],
) -> Figure:
    if run.is_joint or run is sequential:
        return Figure(None, None, "it is one of the two bounds")
    if sequential is None or joint is None:
        lacking = "sequential" if sequential is None else "joint"
        return Figure(None, None, f"no {lacking} run to compare with")
    try:
        return find(gap_closed, run.matrix, beside(run, sequential), beside(run, joint))
    except ValueError as differ:  # the runs train different tasks
        return Figure(None, None, str(differ))


def _against(
    run: RunResults, sequential: RunResults | None, find: Callable[..., Figure]
) -> dict[str, Against]:
    if sequential is None or run is sequential:
        return {}
    found, theirs = {}, beside(run, sequential)
    for task in run.tasks:
        pair = run.matrix.of_task(task.name), theirs.of_task(task.name)
        found[task.name] = Against(
            final=find(partial(_final_less, task=task.name), *pair),
            learned=find(partial(_learned_less, task=task.name), *pair),
        )
    return found


def _final_less(here: Any, there: Any, task: str) -> Any:
    return here.score(here.last, task) - there.score(there.last, task)


def _learned_less(here: Any, there: Any, task: str) -> Any:
    return learned_score(here, task) - learned_score(there, task)
