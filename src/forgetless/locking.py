"""A folder that one process at a time may write to."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from forgetless.errors import RunFolderError
from forgetless.layout import HOLDER
from forgetless.storage import write_json


@contextmanager
def locked(folder: Path, other: str) -> Iterator[None]:
    """Hold a folder for this process; the system lets go of it if the process is killed.

    Args:
        folder: An existing folder.
        other: What to type to use another folder.

    Raises:
        RunFolderError: if a live process holds it, saying which.
    """
    from filelock import FileLock, Timeout

    holder = folder / HOLDER
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise RunFolderError(
            f"{folder}: in use by {_who(holder)}",
            fix=f"wait for it, stop it, or name another folder:  {other}",
        ) from None
    except OSError as error:
        raise RunFolderError(
            f"{folder / '.lock'}: cannot be opened: {error.strerror}",
            fix=f"delete it, or name another folder:  {other}",
        ) from None
    try:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(holder, {"pid": os.getpid(), "host": platform.node(), "since": since})
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _who(holder: Path) -> str:
    try:
        who = json.loads(holder.read_text(encoding="utf-8"))
        return f"process {who['pid']} on {who['host']} since {who['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"
