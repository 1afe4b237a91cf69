"""What hits processes in these tests leaves the tests themselves alone."""

from __future__ import annotations

import signal

from tqdm import tqdm
from tqdm.std import TqdmDefaultWriteLock

from tests.faults.moments import die, in_child


class Bar(tqdm):  # type: ignore[misc]
    """A kind of bar with a lock of its own, as libraries have them."""


def test_a_process_killed_while_it_draws_a_bar_keeps_nobody_else_waiting() -> None:
    lock = TqdmDefaultWriteLock()
    Bar.set_lock(lock)

    def killed() -> None:
        for bars in (tqdm, Bar):
            bars.get_lock().acquire()
        die()

    assert in_child(killed) == -signal.SIGKILL
    for part in lock.locks:  # the first is shared with forked processes
        assert part.acquire(timeout=1)
        part.release()
