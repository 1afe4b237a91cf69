"""Files that are whole or absent: temporary name, flush, rename."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from forgetless.errors import ForgetlessError, RunFailed, RunFolderError


def check_folder(path: Path) -> None:
    """Refuse a folder that could not be made in the end; nothing is made yet.

    Raises:
        RunFolderError: if there is a file in its way, or no right to write.
    """
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not there.is_dir():
        raise RunFolderError(
            f"{path}: a file stands where the folder should be", fix="name another folder"
        )
    if not os.access(there, os.W_OK):
        raise RunFolderError(f"{path}: {there} cannot be written", fix="name another folder")


def make_folder(path: Path) -> None:
    """Make a folder that the user named, unless it is there.

    Raises:
        RunFolderError: saying why it cannot be.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise RunFolderError(
            f"{path}: a file stands where the folder should be", fix="name another folder"
        ) from None
    except OSError as error:
        raise RunFolderError(
            f"{path}: cannot be made: {error.strerror}", fix="name another folder"
        ) from None


def write_text(path: Path, text: str) -> None:
    """Replace a file's content atomically; a kill leaves the old file or the new one."""
    write_lines(path, [text])


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """The same for text that comes line by line, each with its end."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    _sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, indented, keys in the order given; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """Fill a folder under a temporary name, flush every file, then put it in place."""
    part, old = (folder.with_name(f".{folder.name}.{end}") for end in ("part", "old"))
    if old.is_dir() and not folder.exists():  # a kill between the two renamings below
        old.rename(folder)
    for left in (part, old):  # by a kill
        shutil.rmtree(left, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    for file in sorted(part.rglob("*")):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    _sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def disk_faults_explained(folder: Path | None = None) -> Iterator[None]:
    """Turn a full or failing disk into a message; what was written whole before is kept.

    Args:
        folder: Where is written, if that is known.

    Raises:
        RunFailed: for faults of the file system below the block.
    """
    try:
        yield
    except ForgetlessError:
        raise
    except Exception as error:
        # safetensors reports by an exception of its own that has the number in its text
        said = re.search(r"\(os error (\d+)\)", str(error))
        code = error.errno if isinstance(error, OSError) else int(said[1]) if said else None
        where = f"{folder}: " if folder else ""
        full = code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if full or any(words in str(error) for words in _FULL):
            raise RunFailed(
                f"{where}the disk is full; everything finished before is kept",
                fix="free some space and run the same command again to continue",
            ) from error
        if code in (errno.EROFS, errno.EIO, errno.EACCES):
            place = getattr(error, "filename", None)
            raise RunFailed(f"{f'{place}: ' if place else where}{os.strerror(code)}") from error
        raise


_FULL = (
    "No space left on device",
    "disk is full",  # SQLite
    "inline_container.cc",  # torch.save, whose file came out shorter than it should be
)
