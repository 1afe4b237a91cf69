"""Carry runs out, and note what they scored and what they cost.

A run's folder holds ``measured.json`` once it is finished, and is reused then.  A run that was cut
off goes on after its last finished stage; the stage that was cut off is begun anew, so that its
cost is that of one uninterrupted process.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from forgetless.comparing.clock import LEARNING, CostClock
from forgetless.comparing.settings import Withheld
from forgetless.errors import ForgetlessError
from forgetless.evaluation.answers import SCORING
from forgetless.layout import MANIFEST, WEIGHTS
from forgetless.metrics import Cell, ScoreMatrix, matrix_from_json, matrix_to_json
from forgetless.plan import Plan, make_plan
from forgetless.storage import write_json
from forgetless.tasks.halves import divided, grouped

if TYPE_CHECKING:
    from forgetless.result import RunResult

MEASURED = "measured.json"
SPENT = "spent.json"  # of an unfinished run: what its parts took so far


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        name: Of its folder.
        plan: All keys of its plan but ``output``.
        shares: Names of finished jobs whose identical stages may be taken.
        donor: Whether others may take its stages; its weights are kept for them.
        split_items: Whether scores are split into two halves of the items.
        withheld: By task, items that are in neither half.
        data: Hash of what the files that its plan names hold, if that is to be noticed.
    """

    name: str
    plan: Mapping[str, Any] = field(hash=False)
    shares: tuple[str, ...] = ()
    donor: bool = False
    split_items: bool = False
    withheld: Withheld = field(default_factory=dict, hash=False)
    data: str = ""

    def split(self, matrix: ScoreMatrix) -> tuple[ScoreMatrix, ScoreMatrix]:
        """The scores that choose, and those that are reported."""
        return halves(matrix, self.withheld) if self.split_items else (matrix, matrix)


@dataclass(frozen=True)
class StageCost:
    """What a stage took, loading and scoring left out.

    Attributes:
        cpu_seconds: CPU time of all that was done: rows, training, passes before and after, saving.
        seconds: Wall time of the same.
        training_cpu_seconds: CPU time of the optimiser steps alone.
        replay_share: Share of rehearsed tokens, in [0, 1].
    """

    cpu_seconds: float
    seconds: float
    training_cpu_seconds: float
    replay_share: float


@dataclass(frozen=True)
class Measured:
    """What came out of a run.

    Attributes:
        search: Score matrix for choosing.
        report: Score matrix for reporting; the same one unless items are split.
        stages: Cost of each stage, the untouched model not among them.
        peak_memory_mb: Most memory taken above that of the idle process; None where the process
            does more than one run, or had nothing to train.
        device: Where it was computed.
        failed: Why there are no scores, if so; all else is empty then.
    """

    search: ScoreMatrix | None = None
    report: ScoreMatrix | None = None
    stages: tuple[StageCost, ...] = ()
    peak_memory_mb: float | None = None
    device: str = "cpu"
    failed: str | None = None

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all stages."""
        return sum(stage.cpu_seconds for stage in self.stages)

    @property
    def seconds(self) -> float:
        """Wall time of all stages."""
        return sum(stage.seconds for stage in self.stages)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "search": self.search and matrix_to_json(self.search),
            "report": self.report and matrix_to_json(self.report),
            "stages": [asdict(stage) for stage in self.stages],
            "peak_memory_mb": self.peak_memory_mb,
            "device": self.device,
            "failed": self.failed,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What :meth:`to_json` gave."""
        search, report = (data[part] and matrix_from_json(data[part]) for part in
                          ("search", "report"))  # fmt: skip
        return cls(
            search,
            report,
            tuple(StageCost(**stage) for stage in data["stages"]),
            data["peak_memory_mb"],
            data["device"],
            data["failed"],
        )


def execute(job: Job, root: Path, fresh: bool) -> None:
    """Carry a run out, unless that was done before and went well.

    :func:`finished` tells what it came to.

    Args:
        job: The run.
        root: Folder of all runs.
        fresh: Whether this process has done no other run, so that its peak memory is this one's.
            That of a run which was cut off is not known.
    """
    before = finished(job, root)
    if before is not None and before.failed is None:
        return
    folder, plan = root / job.name, _plan(job, root)
    if (folder / MEASURED).is_file():  # it failed, or was of other data: nothing to go on from
        shutil.rmtree(folder)
    made_of = _made_of(job, plan)
    goes_on = _gone_back_to_a_whole_stage(folder, made_of)
    clock, idle = CostClock(folder / SPENT, made_of), resident_mb()
    try:
        from forgetless.sequence import run_sequence

        result = run_sequence(plan, clock, [root / name for name in job.shares])
    except ForgetlessError as error:
        measured = Measured(failed=error.message)
    else:
        whole = fresh and not goes_on
        peak = peak_mb(idle) if whole and "training" in clock.of_all_stages else None
        measured = _measured(job, result, clock, root, peak)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(
        folder / MEASURED,
        {
            "made_of": made_of,
            "withheld": _plainly(job.withheld),
            "parts": clock.parts,
        }
        | measured.to_json(),
    )
    if not job.donor or measured.failed is not None:
        _drop_weights(folder)


def _gone_back_to_a_whole_stage(folder: Path, made_of: str) -> bool:
    """Leave of a run that was cut off its finished stages, and what they took.

    Returns:
        Whether there are any; a folder without, or of another plan or data, is emptied.
    """
    manifest, spent = folder / MANIFEST, folder / SPENT
    if manifest.is_file() and spent.is_file():
        done = {entry["name"] for entry in json.loads(manifest.read_text("utf-8"))["stages"]}
        before = json.loads(spent.read_text("utf-8"))
        if done and before["made_of"] == made_of:
            for stage in (folder / "stages").iterdir():
                if stage.name not in done:
                    shutil.rmtree(stage)
            parts = {name: part for name, part in before["parts"].items() if name in done}
            write_json(spent, before | {"parts": parts})
            return True
    shutil.rmtree(folder, ignore_errors=True)
    return False


def finished(job: Job, root: Path) -> Measured | None:
    """What a job came to, if it is finished and was of this very plan and data."""
    file = root / job.name / MEASURED
    if not file.is_file():
        return None
    data = json.loads(file.read_text(encoding="utf-8"))
    if data["made_of"] != _made_of(job, _plan(job, root)):
        return None
    measured = Measured.from_json(data)
    if measured.failed is None and data.get("withheld", {}) != _plainly(job.withheld):
        from forgetless.result import RunResult

        search, report = job.split(RunResult(root / job.name).matrix)  # as it is divided now
        measured = replace(measured, search=search, report=report)
    return measured


def _plan(job: Job, root: Path) -> Plan:
    return make_plan({**job.plan, "output": str(root / job.name)}, job.name)


def _made_of(job: Job, plan: Plan) -> str:
    """What tells a run from another one of its name."""
    return hashlib.sha256(f"{SCORING} {plan.fingerprint()} {job.data}".encode()).hexdigest()


def _plainly(withheld: Withheld) -> dict[str, list[str]]:
    return {task: sorted(items) for task, items in withheld.items()}


def _measured(
    job: Job, result: RunResult, clock: CostClock, root: Path, peak: float | None
) -> Measured:
    manifest = json.loads((result.path / MANIFEST).read_text(encoding="utf-8"))
    stages = []
    for entry in manifest["stages"][1:]:
        training, name = entry["training"], entry["name"]
        cpu, wall = clock.total(name)
        if entry["shared_from"] is not None:  # trained elsewhere; what it learns at the end is ours
            cpu, wall = clock.total(name, LEARNING)
            giver = json.loads((root / entry["shared_from"] / MEASURED).read_text("utf-8"))
            taken = giver["stages"][entry["index"] - 1]
            cpu, wall = cpu + taken["cpu_seconds"], wall + taken["seconds"]
        stages.append(StageCost(cpu, wall, training["cpu_seconds"], training["replay_share"]))
    search, report = job.split(result.matrix)
    return Measured(
        search,
        report,
        tuple(stages),
        peak,
        device(),
    )


def halves(
    matrix: ScoreMatrix, withheld: Withheld | None = None
) -> tuple[ScoreMatrix, ScoreMatrix]:
    """The matrix over the half of each task's items that chooses, and the one over the rest.

    They are drawn by lot, the same in every run; a group of items is never divided, and what is
    withheld is in neither.
    """
    cells: dict[tuple[int, str], Cell] = {}
    items: dict[str, set[str]] = {column.name: set() for column in matrix.tasks}
    for (row, task), cell in matrix.cells.items():
        assert isinstance(cell, Cell)
        cells[row, task] = cell
        items[task] |= {*cell.scores, *cell.errors} - (withheld or {}).get(task, frozenset())
    parts = {task: _in_two(sorted(items[task]), matrix.column(task).groups) for task in items}
    first, second = (
        {place: _over(cell, parts[place[1]][half]) for place, cell in cells.items()}
        for half in (0, 1)
    )
    return (
        ScoreMatrix(matrix.stages, matrix.tasks, first),
        ScoreMatrix(matrix.stages, matrix.tasks, second),
    )


def _in_two(items: list[str], groups: Mapping[str, str]) -> tuple[set[str], set[str]]:
    first, second = divided(grouped(items, groups))
    return {items[place] for place in first}, {items[place] for place in second}


def _over(cell: Cell, items: set[str]) -> Cell:
    return Cell(
        {item: score for item, score in cell.scores.items() if item in items},
        {item: error for item, error in cell.errors.items() if item in items},
    )


def _drop_weights(folder: Path) -> None:
    """Delete weights and the state of methods: hundreds of runs would fill any disk."""
    for stage in (folder / "stages").glob("*"):
        for part in (*WEIGHTS, "methods", "checkpoints"):
            shutil.rmtree(stage / part, ignore_errors=True)


def resident_mb() -> float:
    """Memory of this process now, in megabytes of 10^6 bytes; 0 where that cannot be told."""
    status = Path("/proc/self/statm")
    if not status.is_file():
        return 0.0
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak_mb(idle: float) -> float:
    """Most memory taken: on the accelerator if there is one, else above ``idle`` megabytes."""
    import torch

    from forgetless.training.stage import peak_memory_mb

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    return peak_memory_mb() - idle


def device() -> str:
    """Where this process computes."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
