"""How far a run has come, whatever state its folder is in, and what to type to go on."""

from __future__ import annotations

import json
import os
import platform
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forgetless.layout import HOLDER, PLAN, stage_folder
from forgetless.plan.file import settings_in
from forgetless.plan.spelling import setting
from forgetless.report.data import RunState, StageInfo
from forgetless.report.run_folder import read_layout, read_manifest

Progress = Literal["done", "trained", "begun", "to come"]


@dataclass(frozen=True, slots=True)
class StageStanding:
    """How far one stage has come.

    Attributes:
        name: Its folder, e.g. ``1-medical``.
        tasks: What is trained in it.
        progress: ``done``; ``trained`` but not scored; ``begun``; or ``to come``.
        checkpoint: Optimiser step of its newest checkpoint, if training was begun and left one.
    """

    name: str
    tasks: tuple[str, ...]
    progress: Progress
    checkpoint: int | None


@dataclass(frozen=True, slots=True)
class RunStanding:
    """How far a run has come.

    Attributes:
        folder: The run folder.
        label: Its methods.
        model: Name of the model that it started from.
        state: What its manifest says; a run that was killed is still ``running`` there.
        holder: The process that works on it now, or may do so on another machine; None if none.
        created: When it was started, ISO 8601.
        finished: When it ended, ISO 8601.
        stages: The untouched model, then every stage of the plan.
        command: What to type to go on; None where nothing is left to do.
    """

    folder: str
    label: str
    model: str
    state: RunState
    holder: str | None
    created: str
    finished: str | None
    stages: tuple[StageStanding, ...]
    command: str | None

    @property
    def scored(self) -> bool:
        """Whether there is a score matrix to show."""
        return self.stages[0].progress == "done"


def read_standing(folder: Path) -> RunStanding:
    """Read how far a run has come.

    Args:
        folder: The run folder; only its manifest needs to be there and sound.

    Raises:
        RunFolderError: if it is no run folder, or its manifest is damaged.
    """
    manifest = read_manifest(folder)
    state, _, stages = read_layout(manifest)
    return RunStanding(
        folder=str(folder),
        label=manifest.text("label"),
        model=manifest.record("model").text("name"),
        state=state,
        holder=_holder(folder),
        created=manifest.text("created"),
        finished=manifest.optional_text("finished"),
        stages=tuple(_stage(folder, stage) for stage in stages),
        command=None if state == "finished" else command_again(folder, _saved_plan(folder)),
    )


def _stage(folder: Path, stage: StageInfo) -> StageStanding:
    checkpoints = stage_folder(folder, stage.name) / "checkpoints"
    progress: Progress
    if stage.done:
        progress = "done"
    elif stage.state == "trained":
        progress = "trained"
    else:
        progress = "begun" if checkpoints.is_dir() else "to come"
    steps = [
        int(number)
        for found in (checkpoints.glob("checkpoint-*") if progress == "begun" else ())
        if (number := found.name.removeprefix("checkpoint-")).isdecimal()
    ]
    return StageStanding(stage.name, stage.tasks, progress, max(steps, default=None))


def _holder(folder: Path) -> str | None:
    """Who holds the folder's lock, as far as can be told without taking it."""
    try:
        who = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        pid, host, since = int(who["pid"]), str(who["host"]), str(who["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if host != platform.node():
        return f"perhaps process {pid} on {host}, since {since}"
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return None  # it was killed, or never was one
    except PermissionError:
        pass  # another user's
    return f"process {pid} on this machine, since {since}"


def _saved_plan(folder: Path) -> str | None:
    try:
        return (folder / PLAN).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def command_again(folder: Path, plan: str | None) -> str:
    """The command that carries a run on, or out again, also if its folder was moved since.

    Args:
        folder: The run folder.
        plan: The text of the plan that is saved there, as far as it can be read.
    """
    words = ["forgetless", "run", str(folder / PLAN)]
    output = settings_in(plan).get("output")
    if isinstance(output, str) and Path(output).resolve() != folder.resolve():
        words += ["--set", setting("output", str(folder.resolve()))]
    return shlex.join(words)
