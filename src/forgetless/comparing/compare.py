"""THE COMPARISON ON ONE PAGE: every method at its own best, between plain and joint training."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from forgetless.comparing.arms import ADAPTERS, Arm
from forgetless.comparing.cluster import RayCluster
from forgetless.comparing.conclusion import conclude
from forgetless.comparing.menu import DEFAULT, arm_of_plan, arms_named, bounds, same
from forgetless.comparing.pool import LocalProcesses, Pool
from forgetless.comparing.protocol import Trial
from forgetless.comparing.protocol import compare as carry_out
from forgetless.comparing.result import Comparison
from forgetless.comparing.runs import Measured
from forgetless.comparing.settings import Setting, Withheld
from forgetless.comparing.trials import TrialRunner, plan_of
from forgetless.comparing.workers import Workers
from forgetless.errors import RunFolderError, UsageError
from forgetless.forewarning import drawing, draws_nothing, few_items
from forgetless.layout import MANIFEST
from forgetless.locking import locked
from forgetless.methods.recipe import resolved_methods
from forgetless.plan import Plan, make_plan, spelling
from forgetless.preparation import Experiment, prepare
from forgetless.progress import Progress
from forgetless.storage import disk_faults_explained, make_folder
from forgetless.tasks.halves import groups_to_divide, halves
from forgetless.tasks.task import Task

AROUND = (1 / 3, 1.0, 3.0)
"""Learning rates that are tried where none are named: the plan's times these."""

ADAPTER_SCALE = 3.0
"""Adapters are offered rates so many times as high."""

PILOT = 0.1

On = Literal["here", "ray"]
"""Where runs are carried out."""


def compare(
    plan: Plan,
    methods: str | None = None,
    *,
    rates: Sequence[float] = (),
    rates_alone: bool = False,
    pilot: bool = False,
    seeds: int = 1,
    jobs: int = 1,
    threads: int = 1,
    on: On = "here",
    progress: Progress | None = None,
) -> Comparison:
    """Run a plan's sequence under several methods, each tuned, and say which to take.

    Half of every task's test items choose an arm's rate and strength, the other half gives all
    figures.  All arms learn as many tokens as plain training: rehearsed rows take the place of new
    ones.  A plan's budget steers no run here; points and arms within it go before others, and the
    half of the items that will certify it is left alone.  A comparison that was killed goes on
    where it was.

    Args:
        plan: Model, tasks and training; its own methods are one arm.  ``output`` gets all runs.
        methods: Arms such as ``replay, ewc+replay``; see :mod:`forgetless.comparing.menu`.
        rates: Learning rates to try; none: around the plan's.
        rates_alone: Tune learning rates only.
        pilot: Train on a tenth, at the rates alone.
        seeds: Training seeds that are reported.  One: the plan's, which also chooses.  Several: the
            ones after it, which chose nothing.
        jobs: Runs at a time, each in a process of its own.
        threads: Threads of each.
        on: ``here``, in processes of this machine, or on a cluster of ``ray``, which takes as many
            runs at a time as it has room for.
        progress: Is told of every finished run.

    Raises:
        UsageError: for what cannot be run, before anything is trained.
    """
    if plan.hosted is not None:
        raise UsageError(
            f"{plan.model.name}: a provider trains it, at a rate of its own; a comparison tunes "
            "every arm's rate",
            fix="run one plan for each method, then  forgetless report RUN1 RUN2",
        )
    progress = progress or Progress()
    arms = chosen_arms(plan, methods, rates_alone=rates_alone or pilot)
    setting = setting_of(plan, rates, pilot=pilot, seeds=seeds)
    experiment, warnings = _checked(plan, setting, arms)
    for warning in warnings:
        progress.note(f"warning: {warning}")
    setting = replace(
        setting,
        data=experiment.data_hash(),
        withheld={} if plan.budget is None else certifying(experiment.tasks),
    )
    root = Path(plan.output).resolve() / "runs"

    runs = 0

    def begun(number: int) -> None:
        nonlocal runs
        runs = number
        progress.runs(0, runs)

    def told(trial: Trial, measured: Measured, left: int, before: bool) -> None:
        came = measured.failed or f"{measured.cpu_seconds:.0f} CPU s of training"
        came = "finished before" if before else came
        seed = "" if seeds == 1 else f", seed {trial.seed}"
        progress.note(f"{trial.arm.name}, rate {trial.candidate}{seed}: {came}")
        progress.runs(runs - left, runs)

    with (
        _alone_in(Path(plan.output), root),
        _pool(on, jobs=jobs, threads=threads, fresh=setting.fresh) as pool,
    ):
        seeds_of_all = {*setting.search_seeds, *setting.seeds}
        prepared = {seed: setting.prepare(seed) for seed in seeds_of_all}
        runner = TrialRunner(setting, Workers(pool, root), root, told, prepared, begun)
        outcomes = carry_out(setting, arms, runner)
    return conclude(plan, setting, outcomes, root, share=PILOT if pilot else 1.0)


def _pool(on: On, *, jobs: int, threads: int, fresh: bool) -> Pool:
    if on == "ray":
        return RayCluster(threads=threads, fresh=fresh)
    return LocalProcesses(jobs=jobs, threads=threads, fresh=fresh)


def chosen_arms(plan: Plan, methods: str | None, *, rates_alone: bool) -> list[Arm]:
    """The two bounds, the plan's own methods, and those named; of what is the same, the first."""
    own = arm_of_plan(resolved_methods(plan))
    named = arms_named(methods or ",".join(DEFAULT), rates_alone=rates_alone)
    arms: list[Arm] = []
    for arm in (*bounds(), *([] if own is None else [own]), *named):
        if not any(same(arm, other) for other in arms):
            arms.append(arm)
    return arms


def setting_of(
    plan: Plan, rates: Sequence[float], *, pilot: bool = False, seeds: int = 1
) -> Setting:
    """The plan as a setting: its items split, seeds from its own on, and rates around its own."""
    trains_adapter = any(spec.name in ADAPTERS for spec in resolved_methods(plan))
    middle = plan.training.learning_rate / (ADAPTER_SCALE if trains_adapter else 1)
    settings = plan.resolved() | {"methods": [], "budget": None}  # no run is steered by it
    seed = plan.training.seed
    settings["training"] |= {"equal_tokens": True, "hold_out_seed": plan.training.split_seed}
    if pilot:
        settings["training"] |= _tenth(plan)
    del settings["output"]
    return Setting(
        prepare=partial(_with_seed, settings),
        rates=tuple(sorted(rates)) or tuple(middle * factor for factor in AROUND),
        search_seeds=(seed,),
        seeds=(seed,) if seeds == 1 else tuple(range(seed + 1, seed + 1 + seeds)),
        split_items=True,
        adapter_scale=ADAPTER_SCALE,
        budget=plan.budget,
        fresh=True,
    )


def recommended_plan(plan: Plan, comparison: Comparison) -> Plan:
    """The plan with the recommended methods, at the rate that was best.

    Raises:
        UsageError: if nothing is recommended.
    """
    if comparison.recommended is None:
        raise UsageError(f"no protection is recommended: {comparison.reasons[0]}")
    arm = comparison.arm(comparison.recommended)
    settings = plan.resolved()
    settings["methods"] = [dict(method) for method in arm.methods]
    settings["training"] |= {"learning_rate": arm.rate, "equal_tokens": True}
    settings["output"] = str(Path(plan.output) / "recommended")
    return make_plan(settings, "recommended")


@contextmanager
def _alone_in(output: Path, root: Path) -> Iterator[None]:
    """Hold the folder of a comparison for this process alone.

    Raises:
        RunFolderError: if it is that of a run, or in use.
    """
    if (output / MANIFEST).is_file():
        raise RunFolderError(
            f"{output}: holds a run, and a comparison needs a folder of its own",
            fix=shlex.join(["--set", spelling.setting("output", f"{output}-compared")]),
        )
    make_folder(root)
    with disk_faults_explained(output), locked(root, "--set output=compare/other"):
        yield


def certifying(tasks: Sequence[Task]) -> Withheld:
    """The items on which ``forgetless run`` will certify the plan's budget.

    What a comparison recommends would be chosen on them, and could not be certified by them.

    Raises:
        DataError: if a task has too few items, or too few groups of items.
    """
    found = {}
    for task in tasks:
        guards, certify = halves(task)
        groups_to_divide(guards)
        found[task.name] = frozenset(row.id for row in certify.test)
    return found


def _checked(plan: Plan, setting: Setting, arms: Sequence[Arm]) -> tuple[Experiment, list[str]]:
    """Refuse what cannot be run, before anything is; of what can, one of the arms, and warnings."""
    if plan.model.quantization is not None:
        raise UsageError(
            "compare trains the model itself as lower and upper bound, which needs its weights in "
            f"full precision; model.quantization is {plan.model.quantization}",
            fix="--set model.quantization=null",
        )
    settings = setting.prepare(plan.training.seed)
    warnings: dict[str, None] = {}
    for arm in arms:
        point = next(arm.candidates(setting.rates))
        trial = plan_of(Trial(arm, point, plan.training.seed), setting, settings)
        experiment = prepare(make_plan({**trial, "output": plan.output}, arm.name))
        _refuse_idle(arm, experiment)
        for task in experiment.tasks:
            groups_to_divide(task)
        warnings |= dict.fromkeys(experiment.warnings)
    tasks = experiment.tasks  # the same under every arm
    _refuse_likelihoods(tasks, [task.name for task in plan.sequence])
    giving = 0.5 if plan.budget is None else 0.25
    for task in tasks:
        if few_items(task) is None and (few := few_items(task, giving)):
            warnings[f"task {task.name!r}: {few}"] = None
    return experiment, list(warnings)


def _refuse_likelihoods(tasks: Sequence[Task], trained: Sequence[str]) -> None:
    """Say that there is nothing to rank by.

    Raises:
        UsageError: if no trained task has scores from 0 to 1.
    """
    if not any(task.unit == "accuracy" for task in tasks if task.name in trained):
        raise UsageError(
            "compare ranks by the average accuracy of the trained tasks, and the test of each of "
            f"them is scored by likelihood: {', '.join(trained)}",
            fix="test: FILE  with questions and answers, for one task at least",
        )


def _refuse_idle(arm: Arm, experiment: Experiment) -> None:
    """Say of an arm that it would train as without its rehearsal.

    Raises:
        UsageError: if all rows that it could rehearse are test items.
    """
    if draws_nothing(experiment.stages, experiment.methods):
        names = drawing(experiment.stages, experiment.methods)
        raise UsageError(
            f"arm {arm.name}: {names} may draw no row of an earlier task, for all are test items; "
            f"it would train as without {names}",
            fix="memory: true  for a task that is asked what it taught, or ask it in other words",
        )


def _with_seed(settings: Mapping[str, Any], seed: int) -> dict[str, Any]:
    return {**settings, "training": {**settings["training"], "seed": seed}}


def _tenth(plan: Plan) -> dict[str, Any]:
    if plan.training.steps is not None:
        return {"steps": max(1, round(plan.training.steps * PILOT))}
    return {"epochs": plan.training.epochs * PILOT}
