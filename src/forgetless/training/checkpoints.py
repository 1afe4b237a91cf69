"""Checkpoints inside a stage: used only if complete, told by the hash of every file."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from forgetless.models.source import file_hash
from forgetless.storage import write_json

log = logging.getLogger(__name__)

_SEAL = "complete.json"
_KEPT = 2  # one to go on from if the newest is damaged


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of a stage.

    Attributes:
        folder: Where it is.
        seconds: Wall time that the stage had taken by then.
        cpu_seconds: CPU time, over all cores.
    """

    folder: Path
    seconds: float
    cpu_seconds: float


def seal(checkpoint: Checkpoint) -> None:
    """Mark a checkpoint complete, once all its files are written."""
    files = {
        str(file.relative_to(checkpoint.folder)): file_hash(file)
        for file in sorted(checkpoint.folder.rglob("*"))
        if file.is_file() and file.name != _SEAL
    }
    progress = {"seconds": checkpoint.seconds, "cpu_seconds": checkpoint.cpu_seconds}
    write_json(checkpoint.folder / _SEAL, {"files": files, "progress": progress})


def latest_complete(folder: Path) -> Checkpoint | None:
    """The newest undamaged checkpoint; damaged ones are deleted, and said so."""
    for checkpoint in _newest_first(folder):
        damage = _damage(checkpoint)
        if damage is None:
            progress = json.loads((checkpoint / _SEAL).read_text(encoding="utf-8"))["progress"]
            return Checkpoint(checkpoint, progress["seconds"], progress["cpu_seconds"])
        log.warning("%s is not used: %s", checkpoint, damage)
        shutil.rmtree(checkpoint)
    return None


def drop_older(checkpoint: Path) -> None:
    """Delete all but the newest checkpoints, once one more is sealed.

    The Trainer would tell their age by the clock, which may have been set back.
    """
    for older in _newest_first(checkpoint.parent)[_KEPT:]:
        shutil.rmtree(older, ignore_errors=True)


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name[11:]))


def _damage(checkpoint: Path) -> str | None:
    try:
        sealed = json.loads((checkpoint / _SEAL).read_text(encoding="utf-8"))
        files, _ = sealed["files"], sealed["progress"]
    except (OSError, ValueError, KeyError, TypeError):
        return "it was not finished"
    for name, expected in files.items():
        file = checkpoint / name
        if not file.is_file() or file_hash(file) != expected:
            return f"{name} is damaged"
    return None
