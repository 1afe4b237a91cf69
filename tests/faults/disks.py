"""A disk that is easily filled."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = 8 << 20


@contextmanager
def small_disk(folder: Path, size: int = SIZE) -> Iterator[Path]:
    """A file system in memory of so many bytes.

    Raises:
        PermissionError: where none can be mounted.
    """
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    found = shutil.which("mount") and subprocess.run(command, capture_output=True, check=False)
    if not found or found.returncode:
        raise PermissionError("a small file system cannot be mounted here: that needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, left: int) -> Path:
    """A file that leaves so many bytes free."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        file.write(bytes(shutil.disk_usage(disk).free - left))
    return ballast
