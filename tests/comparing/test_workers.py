"""Processes that carry runs out: none outlives the one that gives it work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forgetless.comparing.workers import Workers
from forgetless.errors import RunFailed

PARENT = """
import sys, time
from pathlib import Path
from forgetless.comparing.workers import Workers

if __name__ == "__main__":
    with Workers(Path(sys.argv[1]), jobs=1, threads=1, fresh=False) as workers:
        workers.call(abs, [1])
        print(*workers._pool._processes, flush=True)
        workers.call(time.sleep, [600])
"""


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="asks /proc whether a process is alive")
def test_a_run_ends_with_the_comparison_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert alive(worker)
        parent.send_signal(signal.SIGKILL)
    limit = time.monotonic() + 20
    while alive(worker) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not alive(worker)


def test_a_process_that_was_ended_from_outside_is_told_and_how_to_go_on(tmp_path: Path) -> None:
    with (
        pytest.raises(RunFailed, match="was ended from outside") as told,
        Workers(tmp_path, jobs=1, threads=1, fresh=False) as workers,
    ):
        workers.call(os._exit, [1])
    assert told.value.fix is not None
    assert "fewer --jobs" in told.value.fix
