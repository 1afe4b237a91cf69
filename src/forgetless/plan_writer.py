"""A commented plan for data files, as ``forgetless init`` writes it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from forgetless.forewarning import few_items
from forgetless.plan import BUNDLED, HUB, TaskConfig, TrainingConfig, make_plan
from forgetless.plan.spelling import yaml_text
from forgetless.tasks.given import as_settings, with_fields
from forgetless.tasks.task import Task, load_tasks

SHOWN_TRAINING = (
    *("epochs", "learning_rate", "batch_size", "accumulation", "max_length", "precision", "seed"),
)


class WrittenPlan(NamedTuple):
    """A plan as text, and what to know of its data."""

    text: str
    warnings: tuple[str, ...]


def write_plan(
    model: str,
    data: Sequence[str],
    test_only: Sequence[str],
    folder: Path,
    fields: Mapping[str, str] | None = None,
) -> WrittenPlan:
    """Look at the data and write a plan that trains it in order.

    Args:
        model: The model's name.
        data: Source of each trained task; ``NAME=SOURCE`` names the task.
        test_only: Source of each task that is only tested, likewise.
        folder: Where the plan will stand; paths are written relative to it.
        fields: Our field name to that of the data, for sources that need them.

    Raises:
        DataError: if a source cannot be used.
    """
    plan = make_plan(
        {
            "model": model,
            "sequence": [as_settings(source, "train") for source in data],
            "test_only": [as_settings(source, "test") for source in test_only],
        },
        "init",
    )
    trained, tested = (
        tuple(with_fields(task, fields or {}) for task in tasks)
        for tasks in (plan.sequence, plan.test_only)
    )
    tasks = load_tasks(plan.model_copy(update={"sequence": trained, "test_only": tested}))
    lines = [
        "# What to train, in which order, and how not to forget. Every key is explained by",
        "# docs/plan.md; paths are relative to this file.",
        f"model: {yaml_text(_relative(model, folder))}",
        "",
        "sequence:            # trained one after another; all are tested after every stage",
    ]
    taught = [line for task in tasks[: len(data)] for line in _task(task, folder, trained=True)]
    if any("hold_out:" in line for line in taught):
        lines += [
            "# what is held out is never taught: where rows are separate facts, ask taught ones in",
            "# other words ( test: FILE ), or as they are ( memory: true )",
        ]
    lines += taught
    if test_only:
        lines += ["", "test_only:           # what the model should keep anyway"]
        for task in tasks[len(data) :]:
            lines += _task(task, folder, trained=False)
    lines += [
        "",
        "methods: auto        # what measurements recommend; or a list of them, such as",
        "# - replay: {ratio: 0.1}     # a tenth of the tokens are rows of earlier tasks",
        "# - lora: {rank: 16}         # train a low-rank adapter instead of all weights",
        "                     # and  methods: []  for plain sequential training",
        "# budget: 2%         # the loss of older tasks that is accepted: see docs/budget.md",
        "",
        "training:            # the same for every stage",
    ]
    for name in SHOWN_TRAINING:
        field = TrainingConfig.model_fields[name]
        setting = f"  {name}: {json.dumps(field.default)}"
        lines.append(f"{setting:<28} # {field.description}")
    lines += [
        "",
        "ask: []              # questions put to the model after every stage",
        "output: runs/first   # where models, scores and the report go",
        "",
    ]
    warnings = tuple(f"task {task.name!r}: {few}" for task in tasks if (few := few_items(task)))
    return WrittenPlan("\n".join(lines), warnings)


def _task(task: Task, folder: Path, *, trained: bool) -> list[str]:
    config = task.config
    source = config.train if trained else config.test
    assert source is not None
    key = "train" if trained else "test"
    lines = [
        f"  - name: {yaml_text(config.name)}",
        f"    {key}: {yaml_text(_relative(source, folder))}",
    ]
    if config.fields:
        named = ", ".join(f"{ours}: {yaml_text(theirs)}" for ours, theirs in config.fields.items())
        lines.append(f"    fields: {{{named}}}")
    if trained and config.test is None and not source.startswith(BUNDLED):
        found = f"{len(task.train)} rows to train, {len(task.test)} held out"
        lines.append(f"    hold_out: {config.hold_out:g}      # {found}; or  test: FILE")
    rows = "multiple_choice, exact_match, contains, token_f1, number or nll"
    default = TaskConfig.model_fields["max_new_tokens"].default
    lines.append(f"    score: {config.score}   # {rows}")
    if config.max_new_tokens != default:
        lines.append(f"    max_new_tokens: {config.max_new_tokens}")
    if config.render != "auto":
        lines.append(f"    render: {config.render}")
    return lines


def _relative(source: str, folder: Path) -> str:
    if source.startswith((BUNDLED, HUB)) or not Path(source).exists():
        return source
    relative = Path(os.path.relpath(Path(source).absolute(), folder.resolve())).as_posix()
    return relative if "/" in relative or Path(relative).suffix else f"./{relative}"
