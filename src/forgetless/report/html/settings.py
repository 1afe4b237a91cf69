"""How the numbers came about: data, training, versions, and the commands that make them again."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from forgetless.report.analysis import Arm, Report
from forgetless.report.changes import SharedWords
from forgetless.report.charts.marks import ArmStyle
from forgetless.report.data import ModelInfo, StageInfo, TaskInfo, Training
from forgetless.report.standing import command_again
from forgetless.report.wording import ABSENT, count, duration, quantity, scale


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """One task's data and how it is asked."""

    task: TaskInfo
    shared: SharedWords


@dataclass(frozen=True, slots=True)
class StageEntry:
    """What one stage of one arm took; each entry as it is written."""

    title: str
    style: ArmStyle
    stage: str
    steps: str
    rows: str
    tokens: str
    replayed: str
    learning_rate: str
    loss: str
    time: str
    processor: str
    memory: str
    note: str


def facts(report: Report) -> list[tuple[str, str]]:
    """What the numbers are about, at a glance."""
    run = report.arms[0].run
    trained = sum(task.trained_in is not None for task in run.tasks)
    tested = len(run.tasks) - trained
    tasks = f"{trained} trained" + (f", {tested} only tested" if tested else "")
    pairs = [
        ("Model", run.model.name),
        ("Weights", _weights(run.model)),
        ("Tasks", tasks),
        ("Test items", f"{sum(task.test_items for task in run.tasks):,}"),
    ]
    seeds = list(dict.fromkeys(str(arm.run.seed) for arm in report.arms))
    pairs.append(("Seed" if len(seeds) == 1 else "Seeds", ", ".join(seeds)))
    pairs.append(("Date", run.created[:10]))
    return pairs


def _weights(model: ModelInfo) -> str:
    if model.parameters is None:
        return "with the provider"
    return f"{scale(model.parameters)}, {model.dtype}"


def task_entries(report: Report) -> list[TaskEntry]:
    """The tasks with the words around each of their items."""
    return [TaskEntry(task, report.shared[task.name]) for task in report.tasks]


def stage_entries(report: Report, styles: dict[str, ArmStyle]) -> list[StageEntry]:
    """What training took, stage by stage, in every arm."""
    return [
        _stage_entry(arm, stage, stage.training, styles[arm.title])
        for arm in report.arms
        for stage in arm.run.stages
        if stage.training is not None
    ]


def _stage_entry(arm: Arm, stage: StageInfo, took: Training, style: ArmStyle) -> StageEntry:
    def told(value: float | None) -> str:
        return ABSENT if value is None else quantity(value)

    time = ABSENT if took.seconds is None else duration(took.seconds)
    processor = "" if took.cpu_seconds is None else f"{duration(took.cpu_seconds)} CPU"
    memory = ABSENT if took.peak_memory_mb is None else f"{took.peak_memory_mb:,.0f} MB"
    share = "" if took.replay_share is None else f" ({took.replay_share:.0%})"
    return StageEntry(
        title=arm.title,
        style=style,
        stage=f"{stage.index} {stage.title}",
        steps=f"{told(took.steps)} × {told(took.batch_size)}",
        rows=f"{told(took.rows)} × {told(took.epochs)}",
        tokens=told(took.tokens),
        replayed=f"{told(took.replayed_tokens)}{share if took.replayed_tokens else ''}",
        learning_rate=told(took.learning_rate),
        loss=f"{told(took.first_loss)} to {told(took.final_loss)}",
        time=time,
        processor=processor,
        memory=memory,
        note=f"taken from {stage.shared_from}" if stage.shared_from else "",
    )


def shared_pairs(report: Report) -> list[tuple[str, str]]:
    """Model, machine and versions, of every arm where they differ."""
    pairs: list[tuple[str, str]] = []
    runs = [arm.run for arm in report.arms]

    def add(name: str, *values: str | None) -> None:
        known = list(dict.fromkeys(value for value in values if value))
        if known:
            pairs.append((name, "; ".join(known)))

    add("model", *(run.model.name for run in runs))
    add("parameters", *(f"{n:,}" for run in runs if (n := run.model.parameters) is not None))
    add("number format", *(run.model.dtype for run in runs))
    add("weights (SHA-256)", *(run.model.sha256 for run in runs))
    for name in dict.fromkeys(name for run in runs for name in run.machine):
        add(name, *(run.machine.get(name) for run in runs))
    return pairs


def version_pairs(report: Report) -> list[tuple[str, str]]:
    """Package versions; several where the arms differ."""
    runs = [arm.run for arm in report.arms]
    names = dict.fromkeys(name for run in runs for name in run.versions)
    return [
        (name, "; ".join(dict.fromkeys(run.versions[name] for run in runs if name in run.versions)))
        for name in names
    ]


def run_pairs(arm: Arm) -> list[tuple[str, str]]:
    """What identifies one run."""
    run = arm.run
    errors = sum(stage.scoring.errors for stage in run.stages if stage.scoring is not None)
    asked = sum(stage.scoring.items for stage in run.stages if stage.scoring is not None)
    pairs = [
        ("methods", run.label),
        ("folder", str(run.folder)),
        ("state", run.state),
        ("started", run.created),
        ("finished", run.finished or ABSENT),
        ("seed", str(run.seed)),
        ("answers", f"{asked:,}, of which {count(errors, 'error')}"),
    ]
    pairs += [
        (f"model after {stage.name}", stage.hosted)
        for stage in run.stages
        if stage.hosted is not None and stage.index
    ]
    if run.plan_sha256:
        pairs.append(("plan (SHA-256)", run.plan_sha256))
    return pairs


def commands(report: Report) -> str:
    """What to type to get these numbers again."""
    lines = [
        command_again(arm.run.folder, arm.run.plan)
        for arm in report.arms
        if arm.run.plan is not None
    ]
    folders = [str(arm.run.folder) for arm in report.arms]
    return "\n".join([*lines, shlex.join(["forgetless", "report", *folders])])
