"""A run killed at any moment and started again ends in the same bytes."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forgetless.plan import Plan
from forgetless.progress import Progress
from forgetless.sequence import run_sequence
from tests.integration.conftest import MakePlan

METHODS: dict[str, list[Any]] = {
    "sequential": [],
    "replay + lora": [
        {"replay": {"ratio": 0.3, "buffer": "reservoir", "size": 5}},
        {"lora": {"rank": 4, "dropout": 0.1}},
    ],
}


CHANGES: dict[str, Any] = {
    "training": {"batch_size": 2, "accumulation": 2, "checkpoint_every": 2},
    "ask": ["Who?"],
}


class Killer(Progress):
    """Counts every event and every flushed file, and kills the process at the chosen one."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.seen: list[str] = []

    def event(self, what: str) -> None:
        self.seen.append(what)
        if len(self.seen) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def stage(self, run: str, name: str, number: int, last: int) -> None:
        self.event(f"stage {name}")

    def working(self, what: str) -> None:
        self.event(what)

    def trained(self, step: int, steps: int, loss: float) -> None:
        self.event("training")

    def scored(self, task: str, done: int, total: int) -> None:
        self.event("scoring")


def run_watched(plan: Plan, killer: Killer) -> None:
    """Run a plan; writing counts as events, before and after each file is flushed."""
    flush: Callable[[Any], None] = os.fsync

    def watched(descriptor: Any) -> None:
        killer.event("writing")
        flush(descriptor)
        killer.event("written")

    patch = pytest.MonkeyPatch()
    patch.setattr(os, "fsync", watched)
    try:
        run_sequence(plan, killer)
    finally:
        patch.undo()


def in_child(work: Callable[[], None]) -> int:
    """Run in a forked process; its exit code, or minus the signal that ended it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside idle threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fingerprints(folder: Path) -> dict[str, str]:
    """Hashes of everything that must not depend on interruptions."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and (file.suffix in (".safetensors", ".jsonl") or "methods" in file.parts)
    }


@pytest.mark.parametrize("name", METHODS)
def test_a_run_killed_again_and_again_ends_in_the_same_bytes(name: str, plan: MakePlan) -> None:
    whole = plan("whole", methods=METHODS[name], **CHANGES)
    watcher = Killer(at=-1)
    run_watched(whole, watcher)
    expected = fingerprints(Path(whole.output))
    assert {"training", "scoring", "writing", "saving the model"} <= set(watcher.seen)

    killed = plan("killed", methods=METHODS[name], **CHANGES)
    draw = random.Random(7)
    hit: Counter[str] = Counter()
    first_of = {kind: watcher.seen.index(kind) + 1 for kind in set(watcher.seen)}
    # once in the first event of every kind, then at random moments of what is left
    for turn in range(9):
        at = (
            first_of[("training", "scoring", "writing", "saving the model")[turn]]
            if turn < 4
            else draw.randrange(2, 60)
        )
        killer = Killer(at)
        code = in_child(lambda killer=killer: run_watched(killed, killer))  # type: ignore[misc]
        assert code in (0, -signal.SIGKILL)
        hit[str(code)] += 1
        if code == 0:
            break
    assert hit[str(-signal.SIGKILL)] >= 5
    run_sequence(killed)
    assert fingerprints(Path(killed.output)) == expected


def test_a_run_in_bfloat16_stopped_between_stages_ends_in_the_same_bytes(plan: MakePlan) -> None:
    """What is scored is then the model from disk, and not the one in memory."""
    whole, stopped = (plan(name, training={"precision": "bfloat16"}) for name in "ab")
    run_sequence(whole)

    class Stop(Progress):
        def scored(self, task: str, done: int, total: int) -> None:
            if (Path(stopped.output) / "stages" / "1-first").is_dir():
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sequence(stopped, Stop())
    run_sequence(stopped)
    assert fingerprints(Path(stopped.output)) == fingerprints(Path(whole.output))


def test_a_finished_run_is_not_touched_by_running_it_again(plan: MakePlan) -> None:
    finished = plan()
    run_sequence(finished)
    before = {f: f.stat().st_mtime_ns for f in Path(finished.output).rglob("*.safetensors")}
    watcher = Killer(at=-1)
    run_sequence(finished, watcher)
    assert "training" not in watcher.seen
    assert "scoring" not in watcher.seen
    assert {f: f.stat().st_mtime_ns for f in before} == before
