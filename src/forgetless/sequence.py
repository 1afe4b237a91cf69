"""The experiment on one page: for each stage train, score every task, write the row.

Every stage starts from what the one before left on disk, so going on after a kill is the ordinary
path and not a special one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forgetless.errors import PlanError
from forgetless.launching import sharding_left_to_us
from forgetless.layout import MANIFEST, stage_name
from forgetless.localwork import LocalWork, out_of_memory_explained
from forgetless.methods.stage import Stage
from forgetless.plan import Plan, TrainingConfig, make_plan
from forgetless.preparation import Experiment, prepare
from forgetless.processes import join, launched
from forgetless.progress import Progress
from forgetless.result import RunResult
from forgetless.runfolder import RunFolder, open_run, read_manifest
from forgetless.stagework import StageWork
from forgetless.storage import disk_faults_explained

UNTOUCHED = Stage(number=0, name=stage_name(0), tasks=())


def run_sequence(
    plan: Plan, progress: Progress | None = None, share_with: Sequence[Path] = ()
) -> RunResult:
    """Train the tasks of a plan one after another and score every task after every stage.

    Running the same plan again continues where the last process stopped and ends in the same bytes.

    Args:
        plan: What to do; results go to ``plan.output``.
        progress: Is told what happens.
        share_with: Other run folders; a stage that would come out the same is taken from them.

    Returns:
        The finished run.

    Raises:
        UsageError: if the plan cannot be carried out; what only the loaded model shows, such as
            rows with too many tokens, is said when its stage begins.
        RunFailed: if work stopped part-way; what was finished is kept.
    """
    experiment = prepare(plan)
    _refuse_unequal_shares(experiment.plan.training, launched())
    for giver in share_with:
        read_manifest(giver / MANIFEST)  # refused before anything is made
    progress = progress or Progress()
    for warning in experiment.warnings:
        progress.note(f"warning: {warning}")
    path = Path(experiment.plan.output)
    join(experiment.device)
    with (
        sharding_left_to_us(),
        disk_faults_explained(path),
        open_run(path, experiment.plan, experiment.facts()) as folder,
        _work(experiment, folder, progress, share_with) as work,
    ):
        previous = UNTOUCHED
        for stage in (UNTOUCHED, *experiment.stages):
            work.begin(stage)
            with out_of_memory_explained(f"{stage.name}: out of memory"):
                if not work.trained(stage) and not work.take_shared(stage):
                    work.train(stage, start=UNTOUCHED if stage.from_base else previous)
                if not work.scored(stage):
                    work.score(stage)
            work.describe(stage)
            work.track(stage)
            previous = stage
        folder.finish()
    return RunResult(path)


def _refuse_unequal_shares(config: TrainingConfig, processes: int) -> None:
    """Refuse, before anything is made, rows of a step that the processes cannot share."""
    config.batch_of(processes)


def _work(
    experiment: Experiment, folder: RunFolder, progress: Progress, share_with: Sequence[Path]
) -> StageWork:
    """Who trains and scores: this machine, or the provider that keeps the model."""
    if experiment.plan.hosted is None:
        return LocalWork(experiment, folder, progress, share_with)
    from forgetless.hosted.work import HostedWork

    return HostedWork(experiment, folder, progress, share_with)


def run(
    plan: Plan | None = None,
    *,
    progress: Progress | None = None,
    share_with: Sequence[Path] = (),
    **settings: Any,
) -> RunResult:
    """Run a plan, or one made of keyword arguments.

    Args:
        plan: A plan; without one, ``settings`` are its keys (model, sequence, methods, ...).
        progress: Is told what happens.
        share_with: Other run folders; a stage that would come out the same is taken from them.
        settings: Keys of a plan, as in YAML.

    Returns:
        The finished run.

    Raises:
        PlanError: if the settings make no valid plan, or both a plan and settings are given.
        UsageError: if the plan cannot be carried out, as in :func:`run_sequence`.
        RunFailed: if work stopped part-way; what was finished is kept.

    Example:
        >>> result = run(model="my-model", sequence=["a.jsonl", "b.jsonl"])  # doctest: +SKIP
    """
    if plan is not None and settings:
        raise PlanError("run() takes a plan or settings, not both", fix="put them into the plan")
    return run_sequence(plan or make_plan(settings, "run()"), progress, share_with)
