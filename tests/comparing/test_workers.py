"""Processes that carry runs out: none outlives the one that gives it work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from forgetless.comparing.pool import LocalProcesses
from forgetless.comparing.workers import Workers
from forgetless.errors import RunFailed

pytestmark = pytest.mark.system

PARENT = """
import sys, time
from tqdm import tqdm
from forgetless.comparing.pool import LocalProcesses

if __name__ == "__main__":
    try:
        with LocalProcesses(jobs=1, threads=1, fresh=False) as pool:
            pool.submit(tqdm.get_lock).exception()  # as any progress bar does
            print(*pool._pool._processes, flush=True)
            pool.submit(time.sleep, 600).result()
    except KeyboardInterrupt:
        sys.exit(130)
"""


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def to_parent(parent: int) -> None:
    os.kill(parent, signal.SIGINT)


def to_all(parent: int) -> None:
    """As a terminal does on Ctrl-C."""
    os.killpg(parent, signal.SIGINT)


def killed(parent: int) -> None:
    os.kill(parent, signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="asks /proc whether a process is alive")
@pytest.mark.parametrize(
    ("end", "code"),
    [
        (killed, -signal.SIGKILL),
        pytest.param(to_parent, 130, marks=pytest.mark.slow),
        (to_all, 130),
    ],
)
def test_a_run_ends_with_the_comparison_and_leaves_neither_traceback_nor_semaphore(
    tmp_path: Path, end: Callable[[int], None], code: int
) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert alive(worker)
        end(parent.pid)
        _, told = parent.communicate(timeout=60)
    assert parent.returncode == code
    assert "Traceback" not in told
    if end is not killed:
        assert told == ""
    limit = time.monotonic() + 20
    while alive(worker) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not alive(worker)


def test_a_process_that_was_ended_from_outside_is_told_and_how_to_go_on(tmp_path: Path) -> None:
    with (
        pytest.raises(RunFailed, match="was killed, perhaps for want of memory") as told,
        LocalProcesses(jobs=1, threads=1, fresh=False) as pool,
    ):
        Workers(pool, tmp_path).call(os._exit, [1])
    assert told.value.fix is not None
    assert "with fewer --jobs" in told.value.fix


def test_processes_may_ask_the_hub_and_leave_the_environment_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_CACHE", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    before = dict(os.environ)
    with LocalProcesses(jobs=1, threads=3, fresh=False):
        given = dict(os.environ)
    assert {name: given[name] for name in given if given[name] != before.get(name)} == {
        "OMP_NUM_THREADS": "3",
        "TOKENIZERS_PARALLELISM": "false",
    }
    assert dict(os.environ) == before
