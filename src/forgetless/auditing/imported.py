"""An audit of results that another tool wrote: the same verdicts, and no model is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from forgetless.auditing.columns import Column
from forgetless.auditing.config import AuditConfig
from forgetless.auditing.result import NOTHING_SPENT, AuditTask, SubjectInfo
from forgetless.auditing.tasks import AskedTask
from forgetless.errors import UsageError
from forgetless.evaluation.result import ItemResult
from forgetless.exchange.compare import compare_conditions
from forgetless.exchange.imported import Imported, ImportedTask
from forgetless.exchange.reading import is_results_folder, read_results
from forgetless.metrics import chance_of_choosing


def are_results(models: Sequence[Any]) -> bool:
    """Whether results were named in place of models.

    Raises:
        UsageError: if some are results and some are models.
    """
    found = [isinstance(one, str | Path) and is_results_folder(one) for one in models]
    if any(found) and not all(found):
        raise UsageError(
            f"{models[found.index(True)]} holds results and {models[found.index(False)]} does not",
            fix="name results for all, or models for all",
        )
    return all(found)


def refuse_questions_to_results(
    tasks: Sequence[Any],
    suite: str | None,
    limit: int | None,
    include_path: Path | None,
    config: AuditConfig,
) -> None:
    """Results hold what was asked; nothing more can be asked of them.

    Raises:
        UsageError: naming the first setting that would be without effect.
    """
    given = {
        "--task": bool(tasks),
        "--suite": suite is not None,
        "--limit": limit is not None,
        "--include-path": include_path is not None,
        "--drift": config.drift,
        "--render-with": config.render_with != "own",
        "--base-url": config.base_url is not None,
    }
    idle = [name for name, is_given in given.items() if is_given]
    if idle:
        raise UsageError(
            f"{idle[0]}: results of another tool are compared as they are, no model is asked",
            fix=f"leave {idle[0]} out, or name the models in place of their results",
        )


def read_columns(folders: Sequence[Any]) -> tuple[list[Column], list[AskedTask]]:
    """Read results that were obtained in the same way.

    Args:
        folders: Results before, then those after.

    Returns:
        One column each, of the items that all of them have, and the tasks: those of the results
        before.  One that other results lack is there with an error for each item, so that it has
        failed and is not passed over.

    Raises:
        DataError: for results that cannot be read or compared.
    """
    runs = [read_results(folder) for folder in folders]
    before, *afters = runs
    common = {task.name: [item.item for item in task.items] for task in before.tasks}
    every = {name: set(items) for name, items in common.items()}
    for after in afters:
        for shared in compare_conditions(before, after):
            held = set(shared.items)
            common[shared.task] = [item for item in common[shared.task] if item in held]
            every[shared.task] |= after.task(shared.task).prints.keys()
    left_out = sum(len(every[name]) - len(items) for name, items in common.items())
    labels = [
        "before",
        *(f"after-{n}" if len(afters) > 1 else "after" for n in range(1, len(runs))),
    ]
    columns = [
        _column(run, label, common, left_out) for run, label in zip(runs, labels, strict=True)
    ]
    return columns, [asked_task(before.task(name), items) for name, items in common.items()]


def _column(
    run: Imported, label: str, common: Mapping[str, Sequence[str]], left_out: int
) -> Column:
    own = {task.name: {item.item: item for item in task.items} for task in run.tasks}
    more = {name: "it is not among the results before" for name in own if name not in common}
    lacking = {
        name: run.left_out.get(name, "it is not among these results: evaluate this model on it too")
        for name in common
        if name not in own
    }
    reasons = {**run.left_out, **more, **lacking}
    notes = [*run.notes, *(f"left out {name}: {why}" for name, why in reasons.items())]
    if left_out:
        notes.append(f"{left_out} items are in some of the results only, and do not count")
    subject = SubjectInfo(
        label=label,
        name=run.model,
        kind="results",
        identity=run.identity,
        details={"written by": run.format, "folder": run.folder, "date": run.date},
        notes=tuple(notes),
    )
    answers = {
        name: {
            item: ItemResult(name, item, prompt="", gold="", error=lacking[name])
            if name in lacking
            else own[name][item]
            for item in items
        }
        for name, items in common.items()
    }
    return Column(subject, answers, NOTHING_SPENT)


def asked_task(task: ImportedTask, items: Sequence[str]) -> AskedTask:
    """What the judgement of another tool's task needs, for some of its items."""
    info = AuditTask(
        name=task.name,
        unit=task.unit,
        scorer=task.scorer,
        items=len(items),
        warnings=task.warnings,
        conditions=task.conditions.parts,
        source="",
    )
    wanted = set(items)
    choices = {result.item: result.choices for result in task.items if result.item in wanted}
    chance = chance_of_choosing(choices)
    return AskedTask(info, None, task.groups, chance, task.levels)
