"""Read a run folder back into :class:`RunResults`, or say which file and line is at fault."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from forgetless.errors import RunFolderError
from forgetless.layout import ANSWERS, MANIFEST, PLAN, SCORES, stage_folder, stage_name
from forgetless.metrics import Unit
from forgetless.plan.task import LONGEST_NAME
from forgetless.report.data import (
    TO_COME,
    ModelInfo,
    RunResults,
    RunState,
    Scoring,
    StageInfo,
    TaskInfo,
    Training,
)
from forgetless.report.item_files import AGAIN, MEND, read_answers, read_scores, read_text
from forgetless.report.matrix import build_matrix
from forgetless.report.record import Record

MANIFEST_FORMAT = 1
"""The newest ``format`` of manifest.json that this version understands."""

LONGEST_STAGE_NAME = 2 * LONGEST_NAME  # characters: a task's, and room for its number


def read_run(folder: Path) -> RunResults:
    """Read one run folder.

    A run that is still going, or that failed, is read as far as its finished stages go; the files
    of unfinished stages are not opened, so a half-written one does no harm.

    Args:
        folder: ``runs/NAME``, holding ``manifest.json`` and ``stages/``.

    Raises:
        RunFolderError: if something is missing, damaged, malformed or contradicts itself.
    """
    manifest = read_manifest(folder)
    state, tasks, stages = read_layout(manifest)
    if not stages[0].done:
        raise RunFolderError(
            f"{manifest.where}: stage 0, the untouched model, is not scored yet; there is nothing "
            "to report",
            fix=AGAIN,
        )
    units = {task.name: task.unit for task in tasks}
    written = {part.text("name"): part.settings("files") for part in manifest.records("stages")}

    def asked(stage: StageInfo, file: str) -> tuple[Path, str | None]:
        """A file of a finished stage, and what its hash must be."""
        return stage_folder(folder, stage.name) / file, written[stage.name].get(file)

    scores = tuple(
        tuple(read_scores(*asked(stage, SCORES), units)) if stage.done else None for stage in stages
    )
    answers = tuple(
        tuple(read_answers(*asked(stage, ANSWERS))) if stage.done else () for stage in stages
    )
    plan = folder / PLAN
    matrix, found = build_matrix(tasks, stages, scores)
    model = manifest.record("model")
    return RunResults(
        folder=folder,
        name=manifest.text("name"),
        label=manifest.text("label"),
        state=state,
        model=ModelInfo(
            name=model.text("name"),
            parameters=model.optional_integer("parameters", required=True),
            dtype=model.text("dtype"),
            sha256=model.optional_text("sha256"),
            hub=model.optional_text("hub"),
            revision=model.optional_text("revision"),
            licence=model.optional_text("licence"),
        ),
        seed=manifest.integer("seed"),
        created=manifest.text("created"),
        finished=manifest.optional_text("finished"),
        versions=manifest.settings("versions"),
        machine=manifest.settings("machine"),
        plan_sha256=manifest.optional_text("plan_sha256"),
        plan=read_text(plan) if plan.is_file() else None,
        tasks=tasks,
        stages=stages,
        scores=scores,
        answers=answers,
        warnings=(*manifest.texts("warnings"), *found),
        matrix=matrix,
    )


def read_manifest(folder: Path) -> Record:
    """The manifest of a run folder.

    Raises:
        RunFolderError: if there is none, or it is of a later format.
    """
    if not folder.is_dir():
        raise RunFolderError(f"{folder}: no such folder", fix="name a folder under runs/")
    path = folder / MANIFEST
    if not path.is_file():
        raise RunFolderError(
            f"{folder}: found no {MANIFEST}, so this is not a run folder",
            fix="name a folder written by `forgetless run`, e.g. runs/NAME",
        )
    manifest = Record.parse(read_text(path), str(path), fix=MEND)
    version = manifest.integer("format")
    if version > MANIFEST_FORMAT:
        raise RunFolderError(
            f"{path}: 'format' is {version}, this version reads up to {MANIFEST_FORMAT}",
            fix="read it with a newer forgetless:  git pull  in your clone",
        )
    return manifest


def read_layout(
    manifest: Record,
) -> tuple[RunState, tuple[TaskInfo, ...], tuple[StageInfo, ...]]:
    """State, columns and rows of a run, those that it has not reached yet among them.

    Raises:
        RunFolderError: if something is missing, malformed or contradicts itself.
    """
    tasks = tuple(_task(part) for part in manifest.records("tasks"))
    stages = tuple(_stage(part) for part in manifest.records("stages"))
    state = cast("RunState", manifest.one_of("state", ("finished", "running", "failed")))
    _check_tasks(manifest.where, tasks)
    _check_stages(manifest.where, stages)
    return state, tasks, _with_stages_to_come(manifest.where, tasks, stages, state)


def _task(part: Record) -> TaskInfo:
    return TaskInfo(
        name=part.text("name"),
        description=part.optional_text("description") or "",
        unit=cast("Unit", part.one_of("unit", ("accuracy", "nats"))),
        scorer=part.text("scorer"),
        reading=part.text("reading"),
        trained_in=part.optional_integer("trained_in"),
        train_rows=part.integer("train_rows"),
        test_items=part.integer("test_items"),
        rendering=part.optional_text("rendering") or "",
        warnings=part.texts("warnings"),
        train_sha256=part.optional_text("train_sha256"),
        test_sha256=part.optional_text("test_sha256"),
        licence=part.optional_text("licence"),
        graded=part.optional_flag("graded") or False,
    )


def _stage(part: Record) -> StageInfo:
    budget, hosted = part.optional_record("budget"), part.optional_record("hosted")
    return StageInfo(
        index=part.integer("index"),
        name=part.text("name"),
        tasks=part.texts("tasks"),
        state=part.text("state"),
        fingerprint=part.optional_text("fingerprint"),
        training=_training(part.optional_record("training")),
        shared_from=part.optional_text("shared_from"),
        scoring=_scoring(part.optional_record("scoring")),
        budget=None if budget is None else budget.values,
        hosted=None if hosted is None else hosted.text("model"),
    )


def _training(part: Record | None) -> Training | None:
    if part is None:
        return None
    return Training(**{name: part.optional_number(name) for name in Training.__dataclass_fields__})


def _scoring(part: Record | None) -> Scoring | None:
    if part is None:
        return None
    return Scoring(
        seconds=part.optional_number("seconds"),
        cpu_seconds=part.optional_number("cpu_seconds"),
        items=part.integer("items"),
        errors=part.integer("errors"),
    )


def _check_tasks(where: str, tasks: tuple[TaskInfo, ...]) -> None:
    if not tasks:
        raise RunFolderError(f"{where}: 'tasks' is empty, needed at least one", fix=MEND)
    names = [task.name for task in tasks]
    for place, task in enumerate(tasks):
        if names.count(task.name) > 1:
            raise RunFolderError(f"{where}: two tasks are called '{task.name}'", fix=MEND)
        if task.trained_in is not None and task.trained_in < 1:
            raise RunFolderError(
                f"{where}: tasks[{place}]: 'trained_in' is {task.trained_in}, needed at least 1 "
                "or null",
                fix=MEND,
            )


def _check_stages(where: str, stages: tuple[StageInfo, ...]) -> None:
    for place, stage in enumerate(stages):
        if stage.index != place:
            raise RunFolderError(
                f"{where}: stages[{place}]: 'index' is {stage.index}, needed {place}", fix=MEND
            )
        # The name becomes a path: it must not lead out of the run folder.
        is_path = stage.name in {"", ".", ".."} or set(stage.name) & set("/\\\0")
        if is_path or len(stage.name) > LONGEST_STAGE_NAME:
            raise RunFolderError(
                f"{where}: stages[{place}]: 'name' is {stage.name[:80]!r}, needed a folder name",
                fix=MEND,
            )


def _with_stages_to_come(
    where: str, tasks: tuple[TaskInfo, ...], stages: tuple[StageInfo, ...], state: RunState
) -> tuple[StageInfo, ...]:
    """Add the rows that an unfinished run has not reached; its manifest does not list them yet."""
    last = max((task.trained_in for task in tasks if task.trained_in is not None), default=0)
    if state == "finished":
        late = [task.name for task in tasks if (task.trained_in or 0) >= len(stages)]
        undone = [stage.name for stage in stages[1:] if not stage.done]
        if late or undone:
            what = (
                f"task '{late[0]}' is not trained" if late else f"stage '{undone[0]}' is not done"
            )
            raise RunFolderError(f"{where}: the run is marked finished, but {what}", fix=MEND)
    to_come = [
        StageInfo(index, stage_name(index, *names), names, TO_COME, None, None, None)
        for index in range(len(stages), last + 1)
        for names in [tuple(task.name for task in tasks if task.trained_in == index)]
    ]
    return (*stages, *to_come)
