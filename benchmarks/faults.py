"""Runs that are hit while they work, continued, and compared with runs that nothing interrupted.

    python -m benchmarks.faults --kills 100

The long version of ``tests/faults``: a plan of three stages, for each family of methods.  Half of
the kills come after a random time, half at a random change of a file.  A case counts as the same if
every file of the continued run, times in its manifest aside, has the bytes of the uninterrupted
one.  A small file system in memory is mounted for the full disk, which needs root.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch must start no threads before a fork
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import typer
from tests.faults.commands import commanded
from tests.faults.damage import cut_in_half, flip_a_bit
from tests.faults.disks import fill, small_disk
from tests.faults.experiment import FAMILIES, carried_out, contents, load_all, prepare, small_plan
from tests.faults.moments import hit_at, in_child, moments_of
from tests.tiny import build_model

from benchmarks.comparison.records import append_to_log, circumstances, command, in_a_line
from forgetless.plan import Plan

RANDOM_TIME, RANDOM_CHANGE = "SIGKILL, any time", "SIGKILL, any change"
TWO_HOURS = 7200.0


@dataclass(frozen=True)
class Whole:
    """A run that nothing interrupted.

    Attributes:
        plan: Its plan.
        folder: Where it was, and where all that are hit are made.
        moments: Number of moments at which it can be hit.
        seconds: Wall time that it took.
        size: Bytes that it left.
        files: What it left.
    """

    plan: Plan
    folder: Path
    moments: int
    seconds: float
    size: int
    files: Mapping[str, str]


Fault = Callable[[Whole, random.Random], bool]
"""Begins the run and hits it; whether it was hit, and said what it should."""


def uninterrupted(data: Path, folder: Path, methods: Any) -> Whole:
    """Carry a plan out; its folder is gone afterwards."""
    plan = small_plan(data, folder, methods)
    seen = moments_of(folder, lambda watch: carried_out(plan, watch))
    files = contents(folder)
    shutil.rmtree(folder)
    started = time.perf_counter()
    _check(in_child(lambda: carried_out(plan)), 0)
    seconds = time.perf_counter() - started
    assert contents(folder) == files, "two runs of one plan differ"
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Whole(plan, folder, len(seen), seconds, size, files)


def killed_at_a_time(whole: Whole, draw: random.Random) -> bool:
    """SIGKILL from outside."""
    seconds = draw.uniform(0, whole.seconds)
    return in_child(lambda: carried_out(whole.plan), seconds) == -signal.SIGKILL


def killed_at_a_change(whole: Whole, draw: random.Random) -> bool:
    """SIGKILL just before a file changes, or around a flush."""
    at = draw.randrange(1, whole.moments + 1)
    code = hit_at(at, whole.folder, lambda watch: carried_out(whole.plan, watch))
    return code == -signal.SIGKILL


def stopped_by(number: signal.Signals) -> Fault:
    """A signal to the command line, which must say how to continue and end with its code."""

    def stopped(whole: Whole, draw: random.Random) -> bool:
        at = draw.randrange(1, whole.moments // 2)
        run = _command(whole)
        code = hit_at(at, whole.folder, lambda _: run(), lambda: os.kill(os.getpid(), number))
        return code == 128 + number and "run the same command to continue" in _said()

    return stopped


def on_a_full_disk(whole: Whole, draw: random.Random) -> bool:
    """A disk with room for a part of what the run leaves; it must say that it is full."""
    ballast = fill(whole.folder.parent, int(draw.uniform(0.0, 0.9) * whole.size))
    code = in_child(_command(whole))
    ballast.unlink()
    return code == 1 and "the disk is full" in _said()


def torn_line(whole: Whole, draw: random.Random) -> bool:
    """A kill, after which the newest log of scores ends in the midst of a line."""
    for _ in range(20):
        if killed_at_a_change(whole, draw):
            logs = list(whole.folder.rglob("scores.part-0.jsonl"))
            if logs and logs[-1].stat().st_size:
                cut_in_half(logs[-1])
                return True
        shutil.rmtree(whole.folder, ignore_errors=True)
    return False


def damaged_checkpoint(whole: Whole, draw: random.Random) -> bool:
    """A kill, after which a file of the newest sealed checkpoint is damaged."""
    for _ in range(20):
        if killed_at_a_change(whole, draw):
            sealed = sorted(whole.folder.rglob("checkpoint-*/complete.json"))
            if sealed:
                damage = draw.choice((flip_a_bit, cut_in_half))
                damage(sealed[-1].with_name(draw.choice(("optimizer.pt", "trained.safetensors"))))
                return True
        shutil.rmtree(whole.folder, ignore_errors=True)
    return False


def clock_set_back(whole: Whole, draw: random.Random) -> bool:
    """A kill, after which all that was written is two hours in the future."""
    hit = killed_at_a_change(whole, draw)
    for file in whole.folder.rglob("*"):
        at = file.stat().st_mtime + TWO_HOURS
        os.utime(file, (at, at))
    return hit


FAULTS: Mapping[str, Fault] = {
    RANDOM_TIME: killed_at_a_time,
    RANDOM_CHANGE: killed_at_a_change,
    "SIGTERM": stopped_by(signal.SIGTERM),
    "Ctrl-C": stopped_by(signal.SIGINT),
    "full disk": on_a_full_disk,
    "torn log": torn_line,
    "damaged checkpoint": damaged_checkpoint,
    "clock set back": clock_set_back,
}


def _command(whole: Whole) -> Callable[[], None]:
    file = whole.folder.parent / "plan.yaml"
    file.write_text(whole.plan.to_yaml(), encoding="utf-8")
    return commanded("run", file, "-q")


def _said() -> str:
    """What the last command said."""
    return Path("err").read_text(encoding="utf-8")


def _check(code: int, wanted: int) -> None:
    if code != wanted:
        raise SystemExit(f"a process ended with {code} instead of {wanted}")


def the_same(whole: Whole) -> bool:
    """Continue the run; whether it ends in the same files."""
    if in_child(lambda: carried_out(whole.plan)) != 0:
        return False
    found = contents(whole.folder)
    differing = sorted(n for n in {*found, *whole.files} if found.get(n) != whole.files.get(n))
    if differing:
        typer.echo(f"  differ: {', '.join(differing[:5])}")
    return not differing


def table(tried: Counter[tuple[str, str]], same: Counter[tuple[str, str]]) -> str:
    """Families by kinds of fault: how many ended in the same bytes, of how many."""
    lines = [f"| family | {' | '.join(FAULTS)} |", f"| --- |{' ---: |' * len(FAULTS)}"]
    for family in [*FAMILIES, "all"]:
        cells = []
        for fault in FAULTS:
            of = [f for f in FAMILIES if family in (f, "all")]
            number = sum(tried[f, fault] for f in of)
            cells.append(f"{sum(same[f, fault] for f in of)} of {number}" if number else "")
        lines.append(f"| {family} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(
    kills: Annotated[int, typer.Option(help="Kills in all, over the families in turn.")] = 100,
    others: Annotated[int, typer.Option(help="Cases of every other fault and family.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 0,
    log: Annotated[bool, typer.Option("--log", help="Add a section to benchmarks/LOG.md.")] = False,
) -> None:
    """Hit runs of every family in every way, continue them, and compare."""
    warnings.simplefilter("ignore")
    draw = random.Random(seed)
    tried: Counter[tuple[str, str]] = Counter()
    same: Counter[tuple[str, str]] = Counter()
    turns = zip(range(kills), cycle(FAMILIES), strict=False)
    numbers = Counter(
        (family, (RANDOM_TIME, RANDOM_CHANGE)[number // len(FAMILIES) % 2])
        for number, family in turns
    )
    missed = 0
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary)
        os.chdir(data)
        os.environ["HF_DATASETS_CACHE"] = str(data / "datasets")
        prepare(data, build_model(data / "tiny"))
        load_all(data, data / "loaded")
        with small_disk(data / "disk", 32 << 20) as disk:
            for family, methods in FAMILIES.items():
                whole = uninterrupted(data, disk / "run", methods)
                for fault, hit in FAULTS.items():
                    times = numbers[family, fault] if "SIGKILL" in fault else others
                    for _ in range(times):
                        shutil.rmtree(whole.folder, ignore_errors=True)
                        missed += not hit(whole, draw)
                        tried[family, fault] += 1
                        same[family, fault] += the_same(whole)
                    typer.echo(f"{family}, {fault}: {same[family, fault]} of {times} the same")
                shutil.rmtree(whole.folder)
        os.chdir("/")
    shown = table(tried, same) + (
        f"\n{sum(tried.values())} cases, {sum(same.values())} the same; {missed} ended before they "
        "could be hit, or did not say what they should.\n"
    )
    typer.echo(shown)
    if log:
        facts = circumstances(command("faults", sys.argv[1:]), 1, "cpu")
        append_to_log(f"\n## {facts['date']} · faults\n\n{in_a_line(facts)}\n\n{shown}")
    if same != tried:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
