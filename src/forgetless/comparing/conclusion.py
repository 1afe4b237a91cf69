"""From finished runs to figures of every arm, and to what is recommended."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from forgetless.comparing.arms import JOINT, SEQUENTIAL
from forgetless.comparing.protocol import Outcome, Trial
from forgetless.comparing.recommendation import recommend
from forgetless.comparing.result import ArmResult, Comparison, PointTried, within_budget
from forgetless.comparing.runs import Measured, halves
from forgetless.comparing.settings import Setting, Withheld
from forgetless.comparing.trials import job_name
from forgetless.comparing.within import in_words, over_budget
from forgetless.errors import NotMeasured
from forgetless.metrics import (
    Cell,
    Figure,
    ScoreMatrix,
    average_accuracy,
    average_forgetting,
    estimate,
    gap_closed,
    learning_accuracy,
    retention_change,
)
from forgetless.metrics.scores import mean
from forgetless.plan import BudgetConfig, Plan
from forgetless.result import RunResult

LEVEL, DRAWS = 0.95, 2000
BOUNDS = {
    SEQUENTIAL: Figure(0.0, None, "plain training is where the gap begins"),
    JOINT: Figure(1.0, None, "joint training is where the gap ends"),
}
"""What the two bounds close of the gap, by definition."""


def conclude(
    plan: Plan,
    setting: Setting,
    outcomes: Sequence[Outcome],
    root: Path,
    *,
    share: float = 1.0,
) -> Comparison:
    """Figures of every arm and a recommendation.

    Args:
        plan: What was compared.
        setting: In what.
        outcomes: What each arm came to, the bounds among them.
        root: Folder of all runs; its name is that in which the report finds them.
        share: Share of the training that was carried out.
    """
    reported = {
        outcome.arm.name: _reported(outcome, root, setting.withheld) for outcome in outcomes
    }
    matrices = {name: over_seeds(list(found.values())) for name, found in reported.items() if found}
    accuracies = {
        name: found.value
        for name, matrix in matrices.items()
        if name not in (SEQUENTIAL, JOINT)
        and (found := _figure(average_accuracy, matrix)).value is not None
    }
    over = {name: _over(setting.budget, matrix) for name, matrix in matrices.items()}
    within = [name for name in accuracies if within_budget(over[name])]
    best = max(within or accuracies, key=lambda name: accuracies[name], default=None)
    runs = {outcome.arm.name: outcome.runs for outcome in outcomes}
    arms = [
        _result(
            setting,
            outcome,
            runs[SEQUENTIAL],
            reported[outcome.arm.name],
            matrices,
            best,
            root,
            level=at_once(len(accuracies)),
        )
        for outcome in outcomes
    ]
    accepted = in_words(setting.budget) if setting.budget else ""
    any_matrix = next(iter(matrices.values()), None)
    items = {} if any_matrix is None else _items(any_matrix)
    trained = tuple(task.name for task in plan.sequence)
    recommended, reasons = recommend(
        arms,
        seeds=len(setting.seeds),
        budget=accepted,
        items=sum(items.get(name, 0) for name in trained),
    )
    if share < 1:
        reasons.append(
            f"It is a pilot of {share:.0%} of the training: what needs many steps looks worse in "
            "it than it is, forgetting looks smaller, and longer training may want another rate."
        )
    return Comparison(
        model=plan.model.name,
        tasks=trained,
        arms=tuple(arms),
        recommended=recommended,
        reasons=tuple(reasons),
        items=items,
        level=LEVEL,
        pilot=share,
        seeds=setting.seeds,
        budget=accepted,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def at_once(intervals: int) -> float:
    """Level of each of so many intervals with which all of them hold at once (Bonferroni).

    >>> round(at_once(5), 4)
    0.99
    """
    return 1 - (1 - LEVEL) / max(1, intervals)


def over_seeds(matrices: Sequence[ScoreMatrix]) -> ScoreMatrix:
    """One matrix of the mean scores that runs with several seeds gave to each item.

    Figures that are linear in the scores are the means of those of the single runs.  Forgetting is
    not, and is found run by run.

    Args:
        matrices: Of the same stages and tasks, at least one.  An item that one of them could not
            score is left out.
    """
    first = matrices[0]
    cells: dict[tuple[int, str], Cell] = {}
    for place in first.cells:
        found = [cell for matrix in matrices if isinstance(cell := matrix.cells.get(place), Cell)]
        errors = {item: reason for cell in found for item, reason in cell.errors.items()}
        scored = [
            item for item in found[0].scores if all(item in cell.scores for cell in found[1:])
        ]
        cells[place] = Cell(
            {item: fmean(cell.scores[item] for cell in found) for item in scored}, errors
        )
    return ScoreMatrix(first.stages, first.tasks, cells)


def _result(
    setting: Setting,
    outcome: Outcome,
    plain_runs: Mapping[int, Measured],
    reported: Mapping[int, ScoreMatrix],
    matrices: Mapping[str, ScoreMatrix],
    best: str | None,
    root: Path,
    *,
    level: float,
) -> ArmResult:
    arm, point = outcome.arm, outcome.choice.candidate
    failures = [
        run.failed if len(outcome.runs) == 1 else f"seed {seed}: {run.failed}"
        for seed, run in outcome.runs.items()
        if run.failed is not None
    ]
    own = matrices.get(arm.name)
    plain, joint = matrices.get(SEQUENTIAL), matrices.get(JOINT)
    rates = [candidate.rate for candidate in outcome.choice.values]
    folder = job_name(Trial(arm, point, setting.seeds[0])) if point and own is not None else ""
    return ArmResult(
        name=arm.name,
        methods=tuple(arm.plan(point, setting.options)) if point else (),
        rate=None if point is None else point.rate,
        options=dict(point.tuned) if point else {},
        tried=tuple(
            PointTried(tried.rate, dict(tried.tuned), None, value)
            if isinstance(value, str)
            else PointTried(
                tried.rate, dict(tried.tuned), value, over=outcome.choice.over.get(tried, 0.0)
            )
            for tried, value in outcome.choice.values.items()
        ),
        at_edge=point is not None
        and len(set(rates)) > 1
        and point.rate in (min(rates), max(rates)),
        run=folder and f"{root.name}/{folder}",
        failed=None if own is not None else (*failures, "every point of the grid failed")[0],
        accuracy=_figure(average_accuracy, own),
        by_seed=_by_seed(reported),
        learned=_figure(learning_accuracy, own),
        forgetting=_figure(mean_forgetting, *(reported.values() or [None])),
        gap_closed=BOUNDS.get(arm.name) or _figure(gap_closed, own, plain, joint),
        gain=_figure(accuracy_gain, own, plain, level=level),
        elsewhere=_figure(_elsewhere, own),
        over_budget=_over(setting.budget, own),
        nearer=_over(setting.budget, plain, own, level=level),
        to_best=_figure(accuracy_gain, own, matrices.get(best) if best else None),
        cost=_ratio(outcome.runs, plain_runs, _time),
        memory=_ratio(outcome.runs, plain_runs, lambda run: run.peak_memory_mb),
        replay_share=max(
            (stage.replay_share for run in outcome.runs.values() for stage in run.stages),
            default=0.0,
        ),
    )


def _reported(outcome: Outcome, root: Path, withheld: Withheld) -> dict[int, ScoreMatrix]:
    """Scores of the items that did not choose, by seed; none if a run failed."""
    point = outcome.choice.candidate
    if point is None or any(run.failed is not None for run in outcome.runs.values()):
        return {}
    folders = {seed: root / job_name(Trial(outcome.arm, point, seed)) for seed in outcome.runs}
    return {seed: halves(RunResult(run).matrix, withheld)[1] for seed, run in folders.items()}


def _by_seed(reported: Mapping[int, ScoreMatrix]) -> dict[int, float]:
    try:
        return {seed: float(average_accuracy(matrix)) for seed, matrix in reported.items()}
    except NotMeasured:
        return {}


def _figure(
    formula: Callable[..., Any], *matrices: ScoreMatrix | None, level: float = LEVEL
) -> Figure:
    present = [matrix for matrix in matrices if matrix is not None]
    if len(present) < len(matrices):
        return Figure(None, None, "a run that it needs failed")
    return estimate(formula, *present, draws=DRAWS, level=level, seed=0)


def _over(
    budget: BudgetConfig | None, *matrices: ScoreMatrix | None, level: float = LEVEL
) -> Figure:
    """By how much one matrix is over the budget, or the first of two more than the second."""
    if budget is None:
        return Figure(None, None, "the plan has no budget")
    return _figure(partial(_excess, budget=budget), *matrices, level=level)


def _excess(*scores: Any, budget: BudgetConfig) -> Any:
    first, *others = (over_budget(one, budget) for one in scores)
    return first - others[0] if others else first


def mean_forgetting(*seeds: Any) -> Any:
    """Average forgetting of runs of one arm, each by itself, as a mean."""
    return mean([average_forgetting(scores) for scores in seeds])


def accuracy_gain(method: Any, other: Any) -> Any:
    """Average accuracy of one run less that of another."""
    return average_accuracy(method) - average_accuracy(other)


def _elsewhere(scores: Any) -> Any:
    """Mean change on the tasks that are only tested."""
    changes = [
        retention_change(scores, task.name)
        for task in scores.tasks
        if task.trained_in is None and task.unit == "accuracy"
    ]
    if not changes:
        raise NotMeasured("no task is only tested and scored as an accuracy")
    return mean(changes)


def _items(matrix: ScoreMatrix) -> dict[str, int]:
    last = {task: cell for (row, task), cell in matrix.cells.items() if row == matrix.last}
    return {task: len(getattr(cell, "scores", ())) for task, cell in last.items()}


def _time(run: Measured) -> float:
    return run.cpu_seconds if run.device == "cpu" else run.seconds


def _ratio(
    runs: Mapping[int, Measured],
    peers: Mapping[int, Measured],
    of: Callable[[Measured], float | None],
) -> float | None:
    """Total over the seeds, relative to that of the peers; None if one was not measured."""
    totals = []
    for each in (runs, peers):
        values = [None if run.failed is not None else of(run) for run in each.values()]
        known = [value for value in values if value is not None]
        if not known or len(known) < len(values):
            return None
        totals.append(sum(known))
    return totals[0] / totals[1] if totals[1] else None
