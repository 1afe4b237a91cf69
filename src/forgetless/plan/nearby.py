"""What may be meant by a path that leads nowhere."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from itertools import islice
from pathlib import Path

MOST_NAMES = 10_000  # looked at in a folder


def near_path(path: Path, fits: Callable[[Path], bool] = Path.exists) -> Path | None:
    """What stands beside a path that leads nowhere, under a name so near that it may be meant.

    Args:
        path: The path.
        fits: Whether what stands there would do.
    """
    if path.is_symlink():  # its name is right: what it leads to is missing
        return None
    try:
        beside = [other for other in islice(path.parent.iterdir(), MOST_NAMES) if fits(other)]
    except OSError:
        return None
    near = difflib.get_close_matches(path.name, [other.name for other in beside], 1, cutoff=0.75)
    return path.parent / near[0] if near else None


def meant(path: Path, fits: Callable[[Path], bool] = Path.exists) -> str:
    """What to do about a path that leads nowhere: the near one, or where it was looked for."""
    if near := near_path(path, fits):
        return f"did you mean {near}?"
    if path.is_symlink():
        return f"check the path that the link leads to, {path.readlink()}"
    folder = path.absolute().parent
    if folder.is_dir():
        return f"check the path; {folder} holds nothing of a name like it"
    return f"check the path; there is no folder {folder}"
