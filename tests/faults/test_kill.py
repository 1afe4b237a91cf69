"""A run killed at any moment and started again ends in the same files."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from forgetless.methods import METHODS
from forgetless.plan import Plan
from forgetless.progress import Progress
from forgetless.sequence import run_sequence
from tests.faults.experiment import FAMILIES, carried_out, contents, small_plan
from tests.faults.moments import hit_at, in_child, moments_of

pytestmark = pytest.mark.system

OFTEN = ("replay, losses", "own rows, kl", "pulls on weights", "adapters")
KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Whole:
    """A run that nothing interrupted: its plan, its moments, and the files that it left."""

    plan: Plan
    folder: Path
    moments: list[str]
    files: Mapping[str, str]


def uninterrupted(small_data: Path, folder: Path, methods: Any) -> Whole:
    """Its folder is empty again, so that others can be made in the same place."""
    plan = small_plan(small_data, folder, methods)
    moments = moments_of(folder, lambda watch: carried_out(plan, watch))
    files = contents(folder)
    shutil.rmtree(folder)
    return Whole(plan, folder, moments, files)


@pytest.mark.parametrize(
    "family",
    [*OFTEN, *(pytest.param(f, marks=pytest.mark.slow) for f in FAMILIES if f not in OFTEN)],
)
def test_a_run_killed_again_and_again_ends_in_the_same_files(
    family: str, small_data: Path, tmp_path: Path
) -> None:
    whole = uninterrupted(small_data, tmp_path / "run", FAMILIES[family])
    draw = random.Random(family)
    for _ in range(2):
        at = draw.randrange(1, len(whole.moments) // 2)
        assert hit_at(at, whole.folder, lambda watch: carried_out(whole.plan, watch)) == KILLED
    in_child(lambda: carried_out(whole.plan), seconds=draw.uniform(0.1, 1.0))
    assert in_child(lambda: carried_out(whole.plan)) == 0
    assert contents(whole.folder) == whole.files


def test_every_method_is_killed_with_some_family() -> None:
    named = {
        name
        for methods in FAMILIES.values()
        for method in methods
        for name in ([method] if isinstance(method, str) else method)
    }
    assert named | {"sequential"} == set(METHODS)


@dataclass(frozen=True)
class Begun:
    """A run that was killed when its last stage began.

    Attributes:
        whole: The run as it should have been.
        copy: What it left.
        moments: Those of the process that continues it.
    """

    whole: Whole
    copy: Path
    moments: list[str]


@pytest.fixture(scope="module")
def begun(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Begun:
    folder = tmp_path_factory.mktemp("replayed")
    whole = uninterrupted(small_data, folder / "run", FAMILIES["replay, losses"])
    last = whole.moments.index("stage 3-third") + 1
    assert hit_at(last, whole.folder, lambda watch: carried_out(whole.plan, watch)) == KILLED
    shutil.copytree(whole.folder, folder / "begun")
    moments = moments_of(whole.folder, lambda watch: carried_out(whole.plan, watch))
    return Begun(whole, folder / "begun", moments)


@pytest.mark.parametrize(
    "moment",
    [
        "os.rename stages/3-third/checkpoints/checkpoint-2/.complete.json.part",
        "os.remove stages/3-third/checkpoints/checkpoint-1/complete.json",
        "open stages/3-third/.model.part/config.json",
        "os.rename stages/3-third/.model.part",
        "os.rename stages/3-third/.methods.part",
        "os.remove stages/3-third/checkpoints/fingerprint",
        "os.remove stages/3-third/scores.part-0.jsonl",
        "os.rename .matrix.json.part",
    ],
)
def test_a_kill_at_this_moment_leaves_nothing_behind_and_nothing_out(
    moment: str, begun: Begun
) -> None:
    whole = begun.whole
    shutil.rmtree(whole.folder)
    shutil.copytree(begun.copy, whole.folder)
    at = len(begun.moments) - begun.moments[::-1].index(moment)  # the last of its name
    assert hit_at(at, whole.folder, lambda watch: carried_out(whole.plan, watch)) == KILLED
    assert in_child(lambda: carried_out(whole.plan)) == 0
    assert contents(whole.folder) == whole.files


def test_a_run_in_bfloat16_stopped_between_stages_ends_in_the_same_files(
    small_data: Path, tmp_path: Path
) -> None:
    """What is scored is then the model from disk, and not the one in memory."""
    plan = small_plan(small_data, tmp_path / "run", training={"precision": "bfloat16"})

    class Stop(Progress):
        def scored(self, task: str, done: int, total: int) -> None:
            if (tmp_path / "run" / "stages" / "1-first").is_dir():
                raise KeyboardInterrupt

    run_sequence(plan)
    expected = contents(tmp_path / "run")
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        run_sequence(plan, Stop())
    run_sequence(plan)
    assert contents(tmp_path / "run") == expected


def test_a_finished_run_is_not_touched_by_running_it_again(
    small_data: Path, tmp_path: Path
) -> None:
    finished = small_plan(small_data, tmp_path / "run")
    run_sequence(finished)
    before = contents(tmp_path / "run")
    times = {f: f.stat().st_mtime_ns for f in (tmp_path / "run").rglob("*.safetensors")}
    seen: list[str] = []

    class Watcher(Progress):
        def trained(self, step: int, steps: int, loss: float) -> None:
            seen.append("training")

        def scored(self, task: str, done: int, total: int) -> None:
            seen.append("scoring")

    run_sequence(finished, Watcher())
    assert seen == []
    assert contents(tmp_path / "run") == before
    assert {f: f.stat().st_mtime_ns for f in times} == times
