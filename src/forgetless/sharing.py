"""Stages that another run has trained or scored the same, taken instead of done again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from forgetless.layout import ASKED, MANIFEST, WEIGHTS
from forgetless.runfolder import RunFolder, read_manifest
from forgetless.storage import replace_folder, write_text


def trained_stage(path: Path, name: str, fingerprint: str) -> RunFolder | None:
    """Another run, if it has trained a stage of this name and fingerprint.

    Raises:
        RunFolderError: if there is no run, or the files of that stage are not those it wrote.
    """
    folder = RunFolder(path, read_manifest(path / MANIFEST))
    entry = folder.entry(name)
    if entry is None or entry["fingerprint"] != fingerprint:
        return None
    folder.verify(name, *WEIGHTS)
    return folder


def share_files(source: Path, target: Path, scores: Sequence[str]) -> None:
    """Put the files of a trained stage here too, as hard links where the file system can.

    Args:
        source: Folder of the stage.
        target: Where to put them.
        scores: Those of its files :data:`ASKED` that may be taken.
    """

    def place(origin: str, copy: str) -> str:
        try:
            os.link(origin, copy)
        except OSError:
            shutil.copy2(origin, copy)
        return copy

    for part in WEIGHTS:
        if (source / part).is_dir():
            with replace_folder(target / part) as folder:
                shutil.copytree(source / part, folder, copy_function=place, dirs_exist_ok=True)
    _copy_texts(source, target, "train.jsonl")
    share_scores(source, target, scores)


def share_scores(source: Path, target: Path, scores: Sequence[str] = ASKED) -> None:
    """Put scores and answers of a stage here too; others that are here are no more."""
    for name in set(ASKED).difference(scores):
        (target / name).unlink(missing_ok=True)
    _copy_texts(source, target, *scores)


def _copy_texts(source: Path, target: Path, *names: str) -> None:
    for name in names:
        if (source / name).is_file():
            write_text(target / name, (source / name).read_text(encoding="utf-8"))
