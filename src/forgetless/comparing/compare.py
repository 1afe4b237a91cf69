"""THE COMPARISON ON ONE PAGE: every method at its own best, between plain and joint training."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from forgetless.comparing.arms import ADAPTERS, JOINT, SEQUENTIAL, Arm
from forgetless.comparing.menu import DEFAULT, arm_of_plan, arms_named, bounds
from forgetless.comparing.protocol import Outcome, Trial
from forgetless.comparing.protocol import compare as carry_out
from forgetless.comparing.recommendation import recommend
from forgetless.comparing.result import ArmResult, Comparison, PointTried
from forgetless.comparing.runs import Measured, halves
from forgetless.comparing.settings import Setting
from forgetless.comparing.trials import TrialRunner, job_name, plan_of
from forgetless.comparing.workers import Workers
from forgetless.errors import NotMeasured, UsageError
from forgetless.methods.recipe import resolved_methods
from forgetless.metrics import (
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
from forgetless.plan import Plan, make_plan
from forgetless.preparation import prepare
from forgetless.progress import Progress
from forgetless.result import RunResult
from forgetless.tasks.halves import groups_to_divide

AROUND = (1 / 3, 1.0, 3.0)
"""Learning rates that are tried where none are named: the plan's times these."""

ADAPTER_SCALE = 3.0
"""Adapters are offered rates so many times as high."""

PILOT = 0.1
LEVEL, DRAWS = 0.95, 2000
RUNS = "runs"  # folder of all runs


def compare(
    plan: Plan,
    methods: str | None = None,
    *,
    rates: Sequence[float] = (),
    rates_alone: bool = False,
    pilot: bool = False,
    jobs: int = 1,
    threads: int = 1,
    progress: Progress | None = None,
) -> Comparison:
    """Run a plan's sequence under several methods, each tuned, and say which to take.

    Half of every task's test items choose an arm's rate and strength, the other half gives all
    figures.  All arms learn as many tokens as plain training: rehearsed rows take the place of new
    ones.  A comparison that was killed goes on where it was.

    Args:
        plan: Model, tasks and training; its own methods are one arm.  ``output`` gets all runs.
        methods: Arms such as ``replay, ewc+replay``; see :mod:`forgetless.comparing.menu`.
        rates: Learning rates to try; none: around the plan's.
        rates_alone: Tune learning rates only.
        pilot: Train on a tenth, at the rates alone.
        jobs: Runs at a time, each in a process of its own.
        threads: Threads of each.
        progress: Is told of every finished run.

    Raises:
        UsageError: for what cannot be run, before anything is trained.
    """
    progress = progress or Progress()
    arms = chosen_arms(plan, methods, rates_alone=rates_alone or pilot)
    setting = setting_of(plan, rates, pilot=pilot)
    _check(plan, setting, arms)
    root = Path(plan.output).resolve() / RUNS
    root.mkdir(parents=True, exist_ok=True)

    def told(trial: Trial, measured: Measured, left: int) -> None:
        came = measured.failed or f"{measured.cpu_seconds:.0f} CPU s"
        progress.note(f"{trial.arm.name}, {trial.candidate}: {came}; {left} left")

    with Workers(root, jobs=jobs, threads=threads, fresh=setting.fresh) as workers:
        prepared = {seed: setting.prepare(seed) for seed in setting.seeds}
        runner = TrialRunner(setting, workers, root, told, prepared)
        outcomes = carry_out(setting, arms, runner)
    return conclude(plan, setting, outcomes, root, pilot=PILOT if pilot else 1.0)


def chosen_arms(plan: Plan, methods: str | None, *, rates_alone: bool) -> list[Arm]:
    """The two bounds, the plan's own methods, and those named."""
    own = arm_of_plan(resolved_methods(plan))
    named = arms_named(methods or ",".join(DEFAULT), rates_alone=rates_alone)
    return [*bounds(), *([] if own is None else [own]), *named]


def setting_of(plan: Plan, rates: Sequence[float], *, pilot: bool) -> Setting:
    """The plan as a setting: its items split, its seed, and rates around its own."""
    trains_adapter = any(spec.name in ADAPTERS for spec in resolved_methods(plan))
    middle = plan.training.learning_rate / (ADAPTER_SCALE if trains_adapter else 1)
    settings = plan.resolved() | {"methods": [], "budget": None}  # methods alone are compared
    settings["training"] |= {"equal_tokens": True}
    if pilot:
        settings["training"] |= _tenth(plan)
    del settings["output"]
    seed = plan.training.seed
    return Setting(
        name="compare",
        title="",
        prepare=partial(_with_seed, settings),
        rates=tuple(sorted(rates)) or tuple(middle * factor for factor in AROUND),
        search_seeds=(seed,),
        seeds=(seed,),
        split_items=True,
        adapter_scale=ADAPTER_SCALE,
        fresh=True,
    )


def conclude(
    plan: Plan,
    setting: Setting,
    outcomes: Sequence[Outcome],
    root: Path,
    *,
    pilot: float = 1.0,
) -> Comparison:
    """Figures of every arm and a recommendation.

    Args:
        plan: What was compared.
        setting: In what.
        outcomes: What each arm came to, the bounds among them.
        root: Folder of all runs.
        pilot: Share of the training that was carried out.
    """
    (seed,) = setting.seeds
    runs = {outcome.arm.name: outcome.runs.get(seed) for outcome in outcomes}
    matrices = {
        outcome.arm.name: matrix
        for outcome in outcomes
        if (matrix := _reported(outcome, root, seed)) is not None
    }
    accuracies = {
        name: found.value
        for name, matrix in matrices.items()
        if name not in (SEQUENTIAL, JOINT)
        and (found := _figure(average_accuracy, matrix)).value is not None
    }
    best = max(accuracies, key=lambda name: accuracies[name], default=None)
    arms = [_result(setting, outcome, runs, matrices, best, seed) for outcome in outcomes]
    recommended, reasons = recommend(arms)
    if pilot < 1:
        reasons.append(
            f"It is a pilot of {pilot:.0%} of the training: what needs many steps looks worse in "
            "it than it is, and forgetting looks smaller."
        )
    any_matrix = next(iter(matrices.values()), None)
    return Comparison(
        model=plan.model.name,
        tasks=tuple(task.name for task in plan.sequence),
        arms=tuple(arms),
        recommended=recommended,
        reasons=tuple(reasons),
        items={} if any_matrix is None else _items(any_matrix),
        level=LEVEL,
        pilot=pilot,
        seed=seed,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def recommended_plan(plan: Plan, comparison: Comparison) -> Plan:
    """The plan with the recommended methods, or plain training, at the rate that was best.

    Raises:
        UsageError: if nothing could be measured.
    """
    arm = comparison.arm(comparison.recommended or SEQUENTIAL)
    if arm.rate is None:
        raise UsageError("no run could be measured, so there is nothing to recommend")
    settings = plan.resolved()
    settings["methods"] = [dict(method) for method in arm.methods]
    settings["training"] |= {"learning_rate": arm.rate, "equal_tokens": True}
    settings["output"] = str(Path(plan.output) / "recommended")
    return make_plan(settings, "recommended")


def _result(
    setting: Setting,
    outcome: Outcome,
    runs: Mapping[str, Measured | None],
    matrices: Mapping[str, ScoreMatrix],
    best: str | None,
    seed: int,
) -> ArmResult:
    arm, point = outcome.arm, outcome.choice.candidate
    run = outcome.runs.get(seed)
    plain, joint = matrices.get(SEQUENTIAL), matrices.get(JOINT)
    own = matrices.get(arm.name)
    peer = runs.get(SEQUENTIAL)
    failed = run.failed if run is not None else "every point of the grid failed"
    rates = [candidate.rate for candidate in outcome.choice.values]
    return ArmResult(
        name=arm.name,
        methods=tuple(arm.plan(point, setting.options)) if point else (),
        rate=None if point is None else point.rate,
        options=dict(point.tuned) if point else {},
        tried=tuple(
            PointTried(tried.rate, dict(tried.tuned), None, value)
            if isinstance(value, str)
            else PointTried(tried.rate, dict(tried.tuned), value)
            for tried, value in outcome.choice.values.items()
        ),
        at_edge=point is not None
        and len(set(rates)) > 1
        and point.rate in (min(rates), max(rates)),
        run=f"{RUNS}/{job_name(Trial(arm, point, seed))}" if point and own is not None else "",
        failed=None if own is not None else failed,
        accuracy=_figure(average_accuracy, own),
        learned=_figure(learning_accuracy, own),
        forgetting=_figure(average_forgetting, own),
        gap_closed=_figure(gap_closed, own, plain, joint),
        gain=_figure(_accuracy_gain, own, plain),
        elsewhere=_figure(_elsewhere, own),
        to_best=_figure(_accuracy_gain, own, matrices.get(best) if best else None),
        cost=_ratio(run, peer, lambda one: one.cpu_seconds if one.device == "cpu" else one.seconds),
        memory=_ratio(run, peer, lambda one: one.peak_memory_mb),
        replay_share=max((stage.replay_share for stage in run.stages), default=0.0) if run else 0.0,
    )


def _reported(outcome: Outcome, root: Path, seed: int) -> ScoreMatrix | None:
    """Scores of the items that did not choose, one by one; None if the run failed."""
    point, run = outcome.choice.candidate, outcome.runs.get(seed)
    if point is None or run is None or run.failed is not None:
        return None
    return halves(RunResult(root / job_name(Trial(outcome.arm, point, seed))).matrix)[1]


def _check(plan: Plan, setting: Setting, arms: Sequence[Arm]) -> None:
    """Refuse what cannot be run, before anything is."""
    settings = setting.prepare(plan.training.seed)
    for arm in arms:
        point = next(arm.candidates(setting.rates))
        trial = plan_of(Trial(arm, point, plan.training.seed), setting, settings)
        experiment = prepare(make_plan({**trial, "output": plan.output}, arm.name))
        for task in experiment.tasks:
            groups_to_divide(task)


def _with_seed(settings: Mapping[str, Any], seed: int) -> dict[str, Any]:
    return {**settings, "training": {**settings["training"], "seed": seed}}


def _tenth(plan: Plan) -> dict[str, Any]:
    if plan.training.steps is not None:
        return {"steps": max(1, round(plan.training.steps * PILOT))}
    return {"epochs": plan.training.epochs * PILOT}


def _figure(formula: Callable[..., Any], *matrices: ScoreMatrix | None) -> Figure:
    present = [matrix for matrix in matrices if matrix is not None]
    if len(present) < len(matrices):
        return Figure(None, None, "a run that it needs failed")
    return estimate(formula, *present, draws=DRAWS, level=LEVEL, seed=0)


def _accuracy_gain(method: Any, other: Any) -> Any:
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


def _ratio(
    run: Measured | None, peer: Measured | None, of: Callable[[Measured], float | None]
) -> float | None:
    if run is None or peer is None or run.failed is not None or peer.failed is not None:
        return None
    ours, theirs = of(run), of(peer)
    return ours / theirs if ours is not None and theirs else None
