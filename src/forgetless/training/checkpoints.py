"""Checkpoints inside a stage: used only if complete, told by the hash of every file."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from forgetless.models.source import file_hash
from forgetless.storage import write_json

log = logging.getLogger(__name__)

_SEAL = "complete.json"
_KEPT = 2  # one to go on from if the newest is damaged

Checkpoint = tuple[Path, dict[str, Any]]  # its folder, and the progress it was sealed with


def seal(checkpoint: Path, progress: dict[str, Any]) -> None:
    """Mark a checkpoint complete, once all its files are written.

    Args:
        checkpoint: Its folder.
        progress: Figures to carry over a kill, such as seconds spent.
    """
    files = {
        str(file.relative_to(checkpoint)): file_hash(file)
        for file in sorted(checkpoint.rglob("*"))
        if file.is_file() and file.name != _SEAL
    }
    write_json(checkpoint / _SEAL, {"files": files, "progress": progress})


def latest_complete(folder: Path) -> Checkpoint | None:
    """The newest undamaged checkpoint and its progress; damaged ones are deleted, and said so."""
    for checkpoint in _newest_first(folder):
        damage = _damage(checkpoint)
        if damage is None:
            sealed = json.loads((checkpoint / _SEAL).read_text(encoding="utf-8"))
            return checkpoint, sealed["progress"]
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
