"""The model card of a stage: a README for the hub, written from what was measured.

It says what is known up to that stage and nothing else, holds no path of the machine, and is the
same text whenever it is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from forgetless.errors import NotMeasured
from forgetless.metrics import Flips, ScoreMatrix, find_flips
from forgetless.metrics.so_far import matrix_until
from forgetless.plan.file import settings_in
from forgetless.report.data import RunResults, TaskInfo
from forgetless.report.markup import plain, table
from forgetless.report.wording import ABSENT, count, number, scale

NAME = "README.md"
TAG = "forgetless"
_METRICS = {"multiple_choice": "accuracy", "acc_norm": "accuracy", "token_f1": "f1"}


def render_card(run: RunResults, stage: int, *, adapter: bool) -> str:
    """The card of the model as a stage left it.

    Args:
        run: What the run holds; at least up to that stage.
        stage: Its number, from 1.
        adapter: Whether an adapter was saved, and not a whole model.
    """
    run = replace(run, matrix=matrix_until(run.matrix, stage))
    parts = [
        f"---\n{_metadata(run, stage, adapter=adapter)}\n---",
        f"# {plain(_title(run, stage))}",
        _summary(run, stage),
        "## What it was trained on",
        table(("stage", "task", "data", "licence", "rows", "tokens rehearsed"),
              list(_data(run, stage)), numbers=False),
        "## What it knows, before and after",
        table(("task", "items", "untouched", "after its own stage", "now", "lost", "gained", "p"),
              [_scores(run.matrix, task, stage) for task in run.tasks]),
        _reading(run),
        *_warnings(run),
        "## How it was trained",
        _training(run, stage),
        "Written by forgetless from the results of the run; no figure was typed in.",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _metadata(run: RunResults, stage: int, *, adapter: bool) -> str:
    sources = [_source(run, task.name) for task in _trained(run, stage)]
    datasets = [s.removeprefix("hub:").split("@")[0] for s in sources if s.startswith("hub:")]
    name = _title(run, stage)
    data = ModelCardData(
        base_model=run.model.hub,
        license=run.model.licence,
        library_name="peft" if adapter else "transformers",
        pipeline_tag="text-generation",
        tags=[TAG, "continual-learning", *run.methods],
        datasets=datasets or None,
        model_name=name,
        eval_results=list(_results(run, stage)),
    )
    return str(data.to_yaml())


def _results(run: RunResults, stage: int) -> Iterator[EvalResult]:
    for task in run.tasks:
        value = _score(run.matrix, stage, task.name)
        if value is not None:
            yield EvalResult(
                task_type="text-generation",
                dataset_type=task.name,
                dataset_name=task.name,
                metric_type=_METRICS.get(task.reading, task.reading),
                metric_name=f"{task.reading}, {count(task.test_items, 'item')}",
                metric_value=round(value, 4),
            )


def _title(run: RunResults, stage: int) -> str:
    base = (run.model.hub or "a language model").rpartition("/")[2]
    return f"{base}, taught {', '.join(task.name for task in _trained(run, stage))}"


def _summary(run: RunResults, stage: int) -> str:
    assert run.model.parameters is not None  # only what was saved here has a card
    base = plain(run.model.hub) if run.model.hub else "a model from a local folder"
    pin = f" at commit {run.model.revision}" if run.model.revision else ""
    lost = [
        flips
        for task in run.tasks
        if (flips := _flips(run.matrix, task, stage)) is not None and (task.trained_in or 0) < stage
    ]
    told = (
        f"Of {count(sum(f.items for f in lost), 'item')} on older knowledge, "
        f"{sum(len(f.lost) for f in lost):,} went from right to wrong and "
        f"{sum(len(f.gained) for f in lost):,} from wrong to right."
        if lost
        else "Nothing was there to be forgotten, or nothing of it is right or wrong."
    )
    tasks = len(_trained(run, stage))
    order = "" if tasks == 1 else " all at once" if run.is_joint else " one after another"
    guarded = "without" if run.is_sequential else f"with {plain(run.label)} as"
    protection = "" if run.is_joint else f" {guarded} protection"
    return (
        f"{base}{pin} ({scale(run.model.parameters)} parameters), fine-tuned on "
        f"{count(tasks, 'task')}{order}{protection}. {told}"
    )


def _data(run: RunResults, stage: int) -> Iterator[tuple[str, ...]]:
    for task in _trained(run, stage):
        training = run.stages[task.trained_in or 0].training
        share = training and training.replay_share
        yield (
            str(task.trained_in),
            plain(task.name),
            plain(_public(_source(run, task.name))),
            plain(task.licence) if task.licence else "not stated",
            f"{task.train_rows:,}",
            ABSENT if share is None else f"{share:.0%}",
        )


def _scores(matrix: ScoreMatrix, task: TaskInfo, stage: int) -> tuple[str, ...]:
    own = task.trained_in if task.trained_in and task.trained_in <= stage else None
    flips = _flips(matrix, task, stage)
    values = [0, own, stage]
    shown = [None if row is None else _score(matrix, row, task.name) for row in values]
    return (
        plain(task.name),
        f"{task.test_items:,}",
        *(ABSENT if value is None else number(value) for value in shown),
        *((ABSENT,) * 3 if flips is None else
          (f"{len(flips.lost):,}", f"{len(flips.gained):,}", f"{flips.p_value:.2g}")),
    )  # fmt: skip


def _reading(run: RunResults) -> str:
    asked = "; ".join(
        f"{plain(task.name)}: {plain(task.reading)}, asked as {plain(task.rendering)}"
        for task in run.tasks
    )
    return (
        "Lost and gained: items that went from right to wrong, and from wrong to right, since the "
        "task's own stage, or since the untouched model for a task that no stage up to this one "
        f"taught; p: how often chance alone splits them as unevenly. Scores: {asked}."
    )


def _warnings(run: RunResults) -> Iterator[str]:
    found = [
        *run.warnings,
        *(f"task '{task.name}': {text}" for task in run.tasks for text in task.warnings),
    ]
    if found:
        lines = [f"- {plain(text)}" for text in dict.fromkeys(found)]
        yield "\n".join(["Before trusting these numbers:", "", *lines])


def _training(run: RunResults, stage: int) -> str:
    took = run.stages[stage].training
    rate = None if took is None else took.learning_rate
    settings = _plan(run.plan).get("methods") or []
    methods = "; ".join(
        f"{spec['name']} ({', '.join(f'{k} {_option(v)}' for k, v in spec['options'].items())})"
        if spec.get("options")
        else str(spec["name"])
        for spec in settings
    )
    versions = ", ".join(f"{name} {value}" for name, value in run.versions.items())
    steps = "" if took is None or took.steps is None else f"{took.steps:,.0f} steps, "
    return (
        f"Methods: {plain(methods or 'none')}. Last stage: {steps}peak learning rate "
        f"{ABSENT if rate is None else f'{rate:g}'}, seed {run.seed}. {plain(versions)}."
    )


def _trained(run: RunResults, stage: int) -> list[TaskInfo]:
    taught = [task for task in run.tasks if task.trained_in and task.trained_in <= stage]
    return sorted(taught, key=lambda task: task.trained_in or 0)


def _flips(matrix: ScoreMatrix, task: TaskInfo, stage: int) -> Flips | None:
    start = task.trained_in if task.trained_in and task.trained_in <= stage else 0
    if start == stage:
        return None
    try:
        before, after = matrix.cell(start, task.name), matrix.cell(stage, task.name)
        return find_flips(before, after, matrix.column(task.name).groups)
    except NotMeasured:
        return None


def _score(matrix: ScoreMatrix, row: int, task: str) -> float | None:
    try:
        return matrix.score(row, task)
    except NotMeasured:
        return None


@lru_cache(maxsize=1)  # a card looks into it for every task, and every stage of a run has a card
def _plan(text: str | None) -> Mapping[str, Any]:
    return settings_in(text)


def _source(run: RunResults, task: str) -> str:
    tasks = _plan(run.plan).get("sequence") or []
    return next((str(one.get("train")) for one in tasks if one.get("name") == task), "")


def _option(value: object) -> str:
    return _public(value) if isinstance(value, str) else str(value)


def _public(source: str) -> str:
    """A source without the folders of the machine that it lay on."""
    return source if source.startswith(("hub:", "bundled:")) else source.rpartition("/")[2]
