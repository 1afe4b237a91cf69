"""How the cost of a stage grows with the stages before it, and how many items a stage scores.

A model of 2.7M parameters with random weights is taught one small task after another, each as large
as the others, so that whatever differs between stage 2 and stage 16 of one run comes from the
stages between them.  Every method has a process and a run of its own.  One more stage follows the
last that is looked at, because after the last stage of a run nothing has to be learned for later.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.comparison.arms import OVERHEADS
from benchmarks.comparison.overhead import OVERHEAD, make_model
from benchmarks.comparison.tiny import Size
from forgetless.comparing.arms import Arm
from forgetless.comparing.clock import CostClock
from forgetless.comparing.runs import resident_mb
from forgetless.storage import write_json

AT = (2, 4, 8, 16)
# CPU time of a single small stage varies by a quarter, so each is taken with a neighbour.
BESIDE = {2: 3, 4: 5, 8: 9, 16: 15}
SIZE = Size(width=192, layers=4, heads=4, context=128)
ROWS, ITEMS = 32, 4  # of each task: learned, tested
NOT_THE_STAGES = ("loading the model", "scoring")  # parts that are no stage's own
WORDS = ("amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jetty")

# Buffers of a limited size hold one task, so that they are full from the second stage on.
SMALL = {
    "self_replay": {"rows": ROWS, "max_new_tokens": 16},
    "on_policy_replay": {"size": ROWS, "max_new_tokens": 16},
    "agem": {"size": ROWS},
}
LIMITED = {"ratio": 0.1, "buffer": "balanced", "size": ROWS}
BUFFERED = Arm("replay 10%, limited buffer", {"replay": LIMITED})
LEFT_OUT = ("lora + kl", "token_weights flow")  # methods that are among the others
ARMS = (*(arm for arm in OVERHEADS if arm.name not in LEFT_OUT), BUFFERED)

# What cannot be constant, and why.
GROWS: Mapping[str, str] = {
    "der on replay 10%": "predictions of all rows that may be rehearsed; `size` limits those of a "
    "stage",
    "ogd": "a basis of the inputs of all older tasks, up to `capacity` of a layer's directions",
    "olora": "one adapter a stage: all act in every pass, the new one is held orthogonal to all",
}


def prepare(folder: Path, tasks: int) -> dict[str, Any]:
    """A plan's settings; model and data are made in a folder.

    Args:
        folder: An empty one.
        tasks: How many there are.
    """
    make_model(0, SIZE, folder / "model")
    draw = random.Random(0)
    sequence = []
    for task in range(1, tasks + 1):
        for kind, count in (("train", ROWS), ("test", ITEMS)):
            rows = [
                {"prompt": f"{kind} {task}: {' '.join(draw.choices(WORDS, k=4))}?",
                 "completion": " ".join(draw.choices(WORDS, k=3))}
                for _ in range(count)
            ]  # fmt: skip
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / f"{task}-{kind}.jsonl").write_text(text, encoding="utf-8")
        files = {kind: str(folder / f"{task}-{kind}.jsonl") for kind in ("train", "test")}
        sequence.append({"name": f"task{task}", **files, "score": "nll"})
    return {
        "model": str(folder / "model"),
        "sequence": sequence,
        "training": {"epochs": 2, "batch_size": 16, "learning_rate": 1e-4, "device": "cpu"},
    }


def methods_of(arm: Arm) -> list[Any]:
    """An arm's methods as it comes, its buffers full from the second stage on."""
    point = next(arm.candidates(OVERHEAD.rates_for(adapter=arm.adapter)))
    return arm.plan(point, SMALL)


@dataclass(frozen=True)
class Stage:
    """What one stage took.

    Attributes:
        cpu_seconds: CPU time of all but loading and scoring.
        books_cpu_seconds: CPU time of scoring and of what is written of it.
        state: Bytes of what the methods keep for later: their state, and the adapter.
        memory_mb: Most memory taken above that of the idle process, in megabytes of 10^6 bytes;
            None where the system does not tell it stage by stage.
        items: Items scored.
    """

    cpu_seconds: float
    books_cpu_seconds: float
    state: int
    memory_mb: float | None
    items: int


class Watch(CostClock):
    """Adds to the clock: the most memory of each stage, and the items that it scored.

    Attributes:
        peaks: Megabytes of each stage, by its name; empty where the system does not tell.
        items: Items scored in each stage; those that had a score before are not among them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peaks: dict[str, float] = {}
        self.items: Counter[str] = Counter()
        self._done: dict[tuple[str, str], int] = {}

    def stage(self, run: str, name: str, number: int, last: int) -> None:
        """A stage begins, and the one before is over."""
        self.over()
        super().stage(run, name, number, last)

    def scored(self, task: str, done: int, total: int) -> None:
        """Scoring begins, with what was scored before, or goes on."""
        super().scored(task, done, total)
        before = self._done.setdefault((self._stage, task), done)
        self.items[self._stage] += done - before
        self._done[self._stage, task] = done

    def over(self) -> None:
        """The stage is over: note its peak, and begin a new one."""
        self._next("start")
        status = Path("/proc/self/status")
        if not status.is_file():
            return
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        self.peaks[self._stage] = int(lines["VmHWM"].split()[0]) * 1024 / 1e6
        Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is taken at present


def carry_out(plan: Mapping[str, Any], share_with: Sequence[str] = ()) -> list[Stage]:
    """Every stage of a run, the untouched model first.

    Args:
        plan: All its keys.
        share_with: Folders of other runs.
    """
    from forgetless.plan import make_plan
    from forgetless.sequence import run_sequence

    watch, idle = Watch(), resident_mb()
    result = run_sequence(make_plan(plan), watch, [Path(folder) for folder in share_with])
    watch.over()
    found = []
    for stage in result.results.stages:
        spent = {part: cpu for part, (cpu, _) in watch.parts[stage.name].items()}
        peak = watch.peaks.get(stage.name)
        found.append(
            Stage(
                sum(cpu for part, cpu in spent.items() if part not in NOT_THE_STAGES),
                spent.get("scoring", 0.0),
                size_of(result.path / "stages" / stage.name),
                None if peak is None else peak - idle,
                watch.items[stage.name],
            )
        )
    return found


def write_plan(folder: Path, tasks: int, file: Path) -> None:
    """:func:`prepare`, its settings to a file."""
    write_json(file, prepare(folder, tasks))


def write_stages(
    runs: Sequence[tuple[Mapping[str, Any], Sequence[str]]],
    file: Path,
) -> None:
    """:func:`carry_out` for some runs, one after another, their stages to a file."""
    write_json(file, [[asdict(stage) for stage in carry_out(*run)] for run in runs])


def size_of(stage: Path) -> int:
    """Bytes of the state of methods and of an adapter in a stage's folder."""
    parts = [*(stage / "methods").rglob("*"), *(stage / "adapter").rglob("*")]
    return sum(file.stat().st_size for file in parts if file.is_file())


def ratio(stages: Sequence[Stage], at: int, what: str) -> float | None:
    """A figure of one stage relative to the second's; None where there is none."""
    here, second = (_figure(stages, number, what) for number in (at, AT[0]))
    return here / second if here is not None and second else None


def _figure(stages: Sequence[Stage], at: int, what: str) -> float | None:
    own: float | None = getattr(stages[at], what)
    if own is None or not what.endswith("cpu_seconds"):
        return own
    beside: float = getattr(stages[BESIDE[at]], what)
    return (own + beside) / 2
