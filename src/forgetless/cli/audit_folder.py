"""Where an audit is written: a telling folder, never over another audit."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from forgetless.auditing.imported import are_results
from forgetless.auditing.result import Audit, AuditTask, SubjectInfo
from forgetless.auditing.tasks import DEFAULT_SUITE, LM_EVAL, source_of, split_tasks
from forgetless.errors import RunFolderError
from forgetless.layout import WEIGHTS
from forgetless.plan import BUNDLED, ENDPOINT, HUB_NAME, TaskConfig
from forgetless.report.audit.document import NAME, read_audit
from forgetless.tasks.given import task_config
from forgetless.tasks.suites import suite as read_suite


@dataclass(frozen=True)
class Wanted:
    """What is to be audited, as it was typed.

    Attributes:
        models: The model before, then those after.
        tasks: Names of the tasks, with what their items are read from; of tasks of
            lm-evaluation-harness the name of their group, if they were named by it, and nothing.
            None for results, which bring their own.
    """

    models: Sequence[str]
    tasks: Mapping[str, str] | None

    @classmethod
    def typed(
        cls, models: Sequence[str], tasks: Sequence[TaskConfig | str], suite: str | None
    ) -> Wanted:
        """What the arguments of the command stand for."""
        if are_results(models):
            return cls(models, None)
        own, harness = split_tasks(tasks)
        configs = [task_config(one) if isinstance(one, str) else one for one in own]
        named = suite or (None if tasks else DEFAULT_SUITE)
        members = read_suite(named) if named else ()
        configs += [TaskConfig(test=BUNDLED + member.task).named() for member in members]
        sources = {config.name: source_of(config) for config in configs}
        return cls(models, sources | {name.removeprefix(LM_EVAL): "" for name in harness})

    def is_of(self, found: Audit, folder: Path) -> bool:
        """Whether an earlier audit, of that folder, asked the same models the same tasks."""
        if len(self.models) != len(found.subjects):
            return False
        if not all(map(_names, self.models, found.subjects)):
            return False
        if self.tasks is None:
            return True
        tasks = {task.name: task for task in found.tasks}
        return self.tasks.keys() == tasks.keys() and all(
            _same_source(typed, tasks[name], folder) for name, typed in self.tasks.items()
        )


def choose_folder(wanted: Wanted, output: Path | None) -> Path:
    """The folder of an audit; one that holds the same audit is used again.

    Args:
        wanted: What is to be audited.
        output: Where the user wants it; None: a folder named after the last model, numbered if
            another audit is there.

    Raises:
        RunFolderError: if another audit is where the user wants this one.
    """
    place = output or Path("audits") / folder_name(wanted.models[-1])
    numbered = (place.with_name(f"{place.name}-{number}") for number in itertools.count(2))
    free = next(one for one in itertools.chain([place], numbered) if _is_free(one, wanted))
    if output is not None and free != output:
        raise RunFolderError(
            f"{output}: holds an audit of other models, tasks or files", fix=f"--output {free}"
        )
    return free


def note_places(found: Audit, folder: Path) -> Audit:
    """The audit as it is written to a folder: with the place of each file that was asked."""
    tasks = (replace(task, place=_place(task.source, folder)) for task in found.tasks)
    return replace(found, tasks=tuple(tasks))


def folder_name(model: str) -> str:
    """What a folder is called after a model: a run's by run and stage, the hub's with its owner.

    >>> folder_name("runs/plain/stages/2-law/model"), folder_name("adapters/law/")
    ('plain-2-law', 'law')
    >>> folder_name("openai:small@http://localhost:8000/v1")
    'small'
    """
    if model.startswith(ENDPOINT):
        told = model.removeprefix(ENDPOINT).partition("@http")[0]
    elif HUB_NAME.fullmatch(model) and not Path(model).exists():
        told = model
    else:
        *_, run, stages, stage, last = ("", "", "", *Path(model).absolute().parts)
        told = f"{run}-{stage}" if stages == "stages" and last in WEIGHTS else last
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in told).strip("-.") or "audit"


def _is_free(folder: Path, wanted: Wanted) -> bool:
    if not (folder / NAME).exists():
        return True
    try:
        return wanted.is_of(read_audit(folder), folder)
    except RunFolderError:  # whatever it was, it is not to be lost
        return False


def _names(typed: str, info: SubjectInfo) -> bool:
    """Whether a name that was typed is that of a model asked earlier."""
    if info.kind == "results":
        return str(Path(typed)) == info.details.get("folder")
    return info.name == (typed.partition("@http")[0] if info.kind == "endpoint" else typed)


def _same_source(typed: str, found: AuditTask, folder: Path) -> bool:
    """Whether items are read from what an earlier audit read them from, by whatever path."""
    if found.place is not None:
        return _place(typed, folder) == found.place
    # What has no path, such as a built-in task, is as equal below the present folder as by itself.
    return found.source is None or Path(typed).resolve() == Path(found.source).resolve()


def _place(source: str | None, folder: Path) -> str | None:
    """Hash of the way from an audit's folder to a source: both may be moved; None if not there."""
    if not source or not Path(source).exists():
        return None
    way = os.path.relpath(Path(source).resolve(), folder.resolve())
    return hashlib.sha256(os.fsencode(way)).hexdigest()
