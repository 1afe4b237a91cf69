"""What the benchmark's table tells of an arm, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.comparison.arms import group_of, needs_old_rows
from forgetless.comparing.arms import JOINT, SEQUENTIAL, Arm
from forgetless.comparing.protocol import Choice, Outcome
from forgetless.comparing.runs import Measured
from forgetless.comparing.settings import Setting
from forgetless.errors import NotMeasured
from forgetless.metrics import (
    ScoreMatrix,
    average_accuracy,
    average_forgetting,
    gap_closed,
    learning_accuracy,
)


def told(setting: Setting, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Every arm with its search and the figures of its runs, relative to the bounds."""
    peers = {
        (outcome.arm.name, seed): run
        for outcome in outcomes
        if outcome.arm.name in (SEQUENTIAL, JOINT)
        for seed, run in outcome.runs.items()
    }
    return [
        describe(setting, outcome.arm, outcome.choice)
        | {"runs": [figures(run, peers, seed) for seed, run in outcome.runs.items()]}
        for outcome in outcomes
    ]


def describe(setting: Setting, arm: Arm, choice: Choice) -> dict[str, Any]:
    """An arm and its search, as plain data."""
    point = choice.candidate
    return {
        "arm": arm.name,
        "group": group_of(arm),
        "needs_old_rows": needs_old_rows(arm),
        "methods": arm.plan(point, setting.options) if point else [],
        "rate": point and point.rate,
        "tuned": dict(point.tuned) if point else {},
        "searched": [
            {"rate": candidate.rate, "tuned": dict(candidate.tuned)}
            | ({"failed": value} if isinstance(value, str) else {"accuracy": round(value, 4)})
            for candidate, value in choice.values.items()
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
