"""The protocol: every arm at its own best point of a small grid, chosen on data never reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from benchmarks.comparison.arms import JOINT, SEQUENTIAL, Arm, Candidate
from benchmarks.comparison.runs import Measured
from benchmarks.comparison.settings import Setting
from forgetless.errors import NotMeasured
from forgetless.metrics import (
    ScoreMatrix,
    average_accuracy,
    average_forgetting,
    gap_closed,
    learning_accuracy,
)


@dataclass(frozen=True)
class Trial:
    """An arm at one point of its grid, with one seed."""

    arm: Arm
    candidate: Candidate
    seed: int


Run = Callable[[Sequence[Trial]], Mapping[Trial, Measured]]


@dataclass(frozen=True)
class Choice:
    """What the search of an arm came to.

    Attributes:
        candidate: The best point; None if none could be scored.
        accuracies: Average accuracy at every point, or the reason why there is none.
    """

    candidate: Candidate | None
    accuracies: Mapping[Candidate, float | str]


def compare(setting: Setting, arms: Sequence[Arm], run: Run) -> list[dict[str, Any]]:
    """Choose each arm's rate and options, then measure it.

    Args:
        setting: Where.
        arms: Sequential and joint training among them.
        run: Carries trials out.

    Returns:
        For each arm its figures, as plain data.
    """
    grids = {arm: list(arm.candidates(setting.rates_for(adapter=arm.adapter))) for arm in arms}
    searched = run(
        [
            Trial(arm, candidate, seed)
            for arm, grid in grids.items()
            if len(grid) > 1
            for candidate in grid
            for seed in setting.search_seeds
        ]
    )
    choices = {
        arm: choose(
            {
                candidate: [searched[Trial(arm, candidate, seed)] for seed in setting.search_seeds]
                for candidate in grid
            }
        )
        if len(grid) > 1
        else Choice(grid[0], {})
        for arm, grid in grids.items()
    }
    chosen = {arm: choice.candidate for arm, choice in choices.items() if choice.candidate}
    reported = run(
        [Trial(arm, point, seed) for arm, point in chosen.items() for seed in setting.seeds]
    )
    peers = {
        (arm.name, seed): reported[Trial(arm, point, seed)]
        for arm, point in chosen.items()
        if arm.name in (SEQUENTIAL, JOINT)
        for seed in setting.seeds
    }
    return [
        describe(setting, arm, choices[arm])
        | {
            "runs": [
                figures(reported[Trial(arm, chosen[arm], seed)], peers, seed)
                for seed in setting.seeds
                if arm in chosen
            ]
        }
        for arm in arms
    ]


def choose(found: Mapping[Candidate, Sequence[Measured]]) -> Choice:
    """The point of the highest average accuracy, the mean over seeds; of equals, the first.

    A point at which a run failed is out: a crash is no score.
    """
    accuracies: dict[Candidate, float | str] = {}
    for candidate, runs in found.items():
        reasons = [run.failed for run in runs if run.failed is not None]
        accuracies[candidate] = reasons[0] if reasons else fmean(_searched(run) for run in runs)
    scored = {c: value for c, value in accuracies.items() if not isinstance(value, str)}
    best = max(scored, key=lambda candidate: scored[candidate], default=None)
    return Choice(best, accuracies)


def _searched(run: Measured) -> float:
    assert run.search is not None
    return float(average_accuracy(run.search))


def describe(setting: Setting, arm: Arm, choice: Choice) -> dict[str, Any]:
    """An arm and its search, as plain data."""
    point = choice.candidate
    return {
        "arm": arm.name,
        "group": arm.group,
        "needs_old_rows": arm.needs_old_rows,
        "methods": arm.plan(point, setting.options) if point else [],
        "rate": point and point.rate,
        "tuned": dict(point.tuned) if point else {},
        "searched": [
            {"rate": candidate.rate, "tuned": dict(candidate.tuned)}
            | ({"failed": value} if isinstance(value, str) else {"accuracy": round(value, 4)})
            for candidate, value in choice.accuracies.items()
        ],
    }


def figures(run: Measured, peers: Mapping[tuple[str, int], Measured], seed: int) -> dict[str, Any]:
    """One reported run, relative to the peers of the same seed; what does not exist is null."""
    if run.failed is not None:
        return {"seed": seed, "failed": run.failed}
    assert run.report is not None
    plain, joint = peers.get((SEQUENTIAL, seed)), peers.get((JOINT, seed))
    final = {
        task.name: _rounded(run.report.score(run.report.last, task.name))
        for task in run.report.tasks
    }
    return {
        "seed": seed,
        "final": final,
        "average_accuracy": _figure(average_accuracy, run.report),
        "learning_accuracy": _figure(learning_accuracy, run.report),
        "forgetting": _figure(average_forgetting, run.report),
        "gap_closed": _figure(gap_closed, run.report, _report(plain), _report(joint)),
        "cost": _ratio(run, plain, _time),
        "memory": _ratio(run, plain, lambda measured: measured.peak_memory_mb),
        "replay_share": _rounded(max(stage.replay_share for stage in run.stages)),
    }


def _report(run: Measured | None) -> ScoreMatrix | None:
    return None if run is None else run.report


def _time(run: Measured) -> float:
    """What a run took: CPU time, or wall time where an accelerator does the work."""
    return run.cpu_seconds if run.device == "cpu" else run.seconds


def _ratio(
    run: Measured, peer: Measured | None, of: Callable[[Measured], float | None]
) -> float | None:
    ours, theirs = of(run), of(peer) if peer is not None and peer.failed is None else None
    return _rounded(ours / theirs) if ours is not None and theirs else None


def _figure(formula: Callable[..., Any], *matrices: ScoreMatrix | None) -> float | None:
    """A figure's value; None where it does not exist or a run that it needs does not."""
    if any(matrix is None for matrix in matrices):
        return None
    try:
        return _rounded(float(formula(*matrices)))
    except NotMeasured:
        return None


def _rounded(value: float) -> float:
    return round(value, 4)


def mean_of(row: Mapping[str, Any], figure: str) -> float | None:
    """The mean of a figure over an arm's runs; None unless every run has it."""
    values = [run.get(figure) for run in row["runs"]]
    if not values or any(value is None for value in values):
        return None
    return fmean(values)
