"""Moments at which a process can be hit: before each change of a file, around each flush.

A forked process carries the work out and is hit at the moment of a chosen number, or after some
time.  Python tells of changes by its audit events, so no change is missed but those that compiled
code makes between two of them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from forgetless.progress import Progress

CHANGES = frozenset({"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate"})


def die() -> None:
    """As the system's memory killer would have it."""
    os.kill(os.getpid(), signal.SIGKILL)


class Moments(Progress):
    """Numbers moments from 1 and does something at one of them; for a process that ends after it.

    Args:
        folder: Changes below it count.
        at: Number of the moment that is hit; 0: none.
        hit: What happens then.
    """

    def __init__(self, folder: Path, at: int = 0, hit: Callable[[], None] = die) -> None:
        self._folder = f"{folder}{os.sep}"
        self._at = at
        self._hit = hit
        self.seen: list[str] = []

    def watch(self) -> None:
        """See every change from now on; this cannot be undone."""
        sys.addaudithook(self._audited)
        os.fsync = self._flushed  # type: ignore[assignment]

    def moment(self, what: str) -> None:
        """Something is about to happen."""
        self.seen.append(what)
        if len(self.seen) == self._at:
            self._hit()

    def stage(self, run: str, name: str, number: int, last: int) -> None:
        self.moment(f"stage {name}")

    def working(self, what: str) -> None:
        self.moment(what)

    def trained(self, step: int, steps: int, loss: float) -> None:
        self.moment("training")

    def scored(self, task: str, done: int, total: int) -> None:
        self.moment("scoring")

    def _audited(self, event: str, given: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = given
            if not (set(mode) & set("wax+") if mode else flags & (os.O_WRONLY | os.O_CREAT)):
                return
        elif event in CHANGES:
            path = given[0]
            within = given[-1]
            if event in {"os.remove", "os.rmdir"} and within not in (-1, None):
                path = Path(f"/proc/self/fd/{within}").readlink() / path
        else:
            return
        if str(path).startswith(self._folder):
            self.moment(f"{event} {str(path).removeprefix(self._folder)}")

    def _flushed(self, descriptor: Any) -> None:
        # a kill loses nothing that was written, so that really flushing would only take time
        self.moment("flush")
        self.moment("flushed")


def in_child(work: Callable[[], None], seconds: float | None = None) -> int:
    """Run in a forked process; its exit code, or minus the signal that ended it.

    Args:
        work: What it does.
        seconds: After which it is killed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside idle threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            _share_no_lock()
            signal.signal(signal.SIGINT, signal.default_int_handler)  # deaf to it in the background
            work()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _share_no_lock(bars: Any = tqdm) -> None:
    """Of progress bars: processes share one, and what is killed while it draws never lets go."""
    bars.set_lock(threading.RLock())
    for kind in bars.__subclasses__():
        _share_no_lock(kind)


def hit_at(
    number: int, folder: Path, work: Callable[[Moments], None], hit: Callable[[], None] = die
) -> int:
    """How a process ended that was hit at a moment of its work."""

    def watched() -> None:
        moments = Moments(folder, number, hit)
        moments.watch()
        work(moments)

    return in_child(watched)


def moments_of(folder: Path, work: Callable[[Moments], None]) -> list[str]:
    """Every moment of some work, in order, as a process has them that is not hit."""
    with tempfile.TemporaryDirectory() as told:
        file = Path(told) / "moments.json"

        def watched() -> None:
            moments = Moments(folder)
            moments.watch()
            work(moments)
            file.write_text(json.dumps(moments.seen))

        assert in_child(watched) == 0
        seen: list[str] = json.loads(file.read_text())
        return seen
