"""What differs between two runs: settings, versions, data, and the scores item by item."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import partial
from typing import Any

from forgetless.errors import NotMeasured
from forgetless.layout import PLAN
from forgetless.metrics import Cell, Figure, ScoreMatrix, TaskColumn, Unit, estimate, find_flips
from forgetless.plan.differences import differences
from forgetless.plan.file import settings_in
from forgetless.report.analysis import DRAWS, LEVEL
from forgetless.report.data import RunResults, TaskInfo
from forgetless.report.same_items import asked_otherwise
from forgetless.tasks.twins import with_twins

_PLACE = {"output"}  # where a run writes decides nothing


@dataclass(frozen=True, slots=True)
class Differing:
    """Something that is not the same in both runs.

    Attributes:
        what: Which setting, package or data.
        first: What it is in the first run; None where the run lacks it.
        second: What it is in the second.
    """

    what: str
    first: Any
    second: Any


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """One task in both runs, over the items that both were asked.

    Attributes:
        task: Its name.
        unit: Of the scores.
        first: Score in the first run; None if it was not measured.
        second: Score in the second.
        change: Second less first, with its interval; positive = the second scores higher.
        lost: Items that the first run has right and the second wrong; None for graded scores.
        gained: Items that the second has right and the first wrong.
        items: Items that both were asked; None if nothing could be paired.
        p_value: Of lost against gained: how often chance splits them as unevenly.
        reason: Why something of this is not known.
    """

    task: str
    unit: Unit
    first: float | None
    second: float | None
    change: Figure
    lost: int | None
    gained: int | None
    items: int | None
    p_value: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class RunDifference:
    """Two runs beside one another.

    Attributes:
        first: Folder of the first run.
        second: Folder of the second.
        rows: The stages whose scores are compared: the last of each run, or the last that both
            have reached where one is unfinished.
        settings: Keys of the plans that differ.
        versions: Packages, machine and model that differ.
        data: Rows and items that differ, by task; fingerprints are cut to 12 digits.
        same_until: The last stage up to which both have the same weights by their fingerprints;
            None if not even the untouched model is the same, or a run notes no fingerprints.
        tasks: Every task that both score.
        level: Confidence level of the intervals.
    """

    first: str
    second: str
    rows: tuple[str, str]
    settings: tuple[Differing, ...]
    versions: tuple[Differing, ...]
    data: tuple[Differing, ...]
    same_until: str | None
    tasks: tuple[ScoredPair, ...]
    level: float


def difference(
    first: RunResults, second: RunResults, *, level: float = LEVEL, draws: int = DRAWS
) -> RunDifference:
    """Compare two runs.

    Args:
        first: One run.
        second: Another; what is "lost" is lost on the way from the first to it.
        level: Confidence level of the intervals.
        draws: Resampled matrices behind each.
    """
    rows = _rows(first, second)
    find = partial(estimate, draws=draws, level=level, seed=0)
    theirs = {task.name: task for task in second.tasks}
    shared = [
        task for task in first.tasks if task.name in theirs and theirs[task.name].unit == task.unit
    ]
    return RunDifference(
        first=str(first.folder),
        second=str(second.folder),
        rows=(first.stages[rows[0]].name, second.stages[rows[1]].name),
        settings=tuple(_settings(first, second)),
        versions=tuple(_surroundings(first, second)),
        data=tuple(_data(first, second)),
        same_until=_same_until(first, second),
        tasks=tuple(_pair(task, first, second, rows, find) for task in shared),
        level=level,
    )


def _rows(first: RunResults, second: RunResults) -> tuple[int, int]:
    last = [max(s.index for s in run.stages if s.done) for run in (first, second)]
    if first.state == second.state == "finished":
        return last[0], last[1]
    return min(last), min(last)


def _settings(first: RunResults, second: RunResults) -> Iterator[Differing]:
    ours, theirs = (settings_in(run.plan) for run in (first, second))
    if ours and theirs:
        for key, one, other in differences(_by_name(ours), _by_name(theirs)):
            if key not in _PLACE:
                yield Differing(key, one, other)
    elif ours or theirs:
        yield Differing(PLAN, *("can be read" if plan else None for plan in (ours, theirs)))


def _by_name(plan: Mapping[str, Any]) -> Mapping[str, Any]:
    """A plan whose tasks and methods are found by name, whatever their order."""
    try:
        return {
            **plan,
            **{
                part: {task["name"]: task for task in plan.get(part) or ()}
                for part in ("sequence", "test_only")
            },
            "methods": {m["name"]: m.get("options") or "named" for m in plan.get("methods") or ()},
        }
    except (TypeError, KeyError):  # not as a run writes it
        return plan


def _surroundings(first: RunResults, second: RunResults) -> Iterator[Differing]:
    pairs: list[tuple[str, Any, Any]] = [
        ("model", first.model.name, second.model.name),
        ("weights of the model", _short(first.model.sha256), _short(second.model.sha256)),
        ("number format", first.model.dtype, second.model.dtype),
        *differences(first.versions, second.versions),
        *differences(first.machine, second.machine),
    ]
    yield from (Differing(*pair) for pair in pairs if pair[1] != pair[2])


def _data(first: RunResults, second: RunResults) -> Iterator[Differing]:
    ours, theirs = ({task.name: task for task in run.tasks} for run in (first, second))
    for name in dict.fromkeys((*ours, *theirs)):
        sides = ours.get(name), theirs.get(name)
        for what, told in (
            ("training rows", lambda task: _told(task.train_rows, task.train_sha256)),
            ("test items", lambda task: _told(task.test_items, task.test_sha256)),
            ("rendering", lambda task: task.rendering),
            ("scored by", lambda task: task.reading),
            ("unit", lambda task: task.unit),
            ("trained in stage", lambda task: task.trained_in),
        ):
            one, other = (None if task is None else told(task) for task in sides)
            if one != other:
                yield Differing(f"{name}: {what}", one, other)


def _told(count: int, sha256: str | None) -> str:
    return f"{count:,}" if sha256 is None else f"{count:,} ({_short(sha256)})"


def _short(sha256: str | None) -> str | None:
    return None if sha256 is None else sha256[:12]


def _same_until(first: RunResults, second: RunResults) -> str | None:
    same = None
    for ours, theirs in zip(first.stages, second.stages, strict=False):
        if ours.fingerprint is None or ours.fingerprint != theirs.fingerprint:
            break
        same = ours.name
    return same


def _pair(
    task: TaskInfo,
    first: RunResults,
    second: RunResults,
    rows: tuple[int, int],
    find: Callable[..., Figure],
) -> ScoredPair:
    name = task.name
    change = Figure(None, None, None)
    lost = gained = items = p_value = reason = None
    try:
        ours, theirs = _same_items(first, second, rows, name)
        items = len(ours.cell(0, name).scores)
        change = find(_second_less_first, ours, theirs)
        reason = change.reason
        flips = find_flips(ours.cell(0, name), theirs.cell(0, name), ours.column(name).groups)
        lost, gained, p_value = len(flips.lost), len(flips.gained), flips.p_value
    except NotMeasured as absent:
        reason = reason or absent.message
    return ScoredPair(
        task=name,
        unit=task.unit,
        first=_score(first, rows[0], name),
        second=_score(second, rows[1], name),
        change=change,
        lost=lost,
        gained=gained,
        items=items,
        p_value=p_value,
        reason=reason,
    )


def _second_less_first(one: Any, other: Any) -> Any:
    name = one.tasks[0].name
    return other.score(0, name) - one.score(0, name)


def _same_items(
    first: RunResults, second: RunResults, rows: tuple[int, int], task: str
) -> tuple[ScoreMatrix, ScoreMatrix]:
    """The compared row of each run, one task, over the items that both scored.

    Raises:
        NotMeasured: if a run did not score the task there, or no item is left.
    """
    one, other = (
        run.matrix.cell(row, task).scores for run, row in zip((first, second), rows, strict=True)
    )
    common = (one.keys() & other.keys()) - asked_otherwise(first, second, task)
    if not common:
        raise NotMeasured(f"the runs have no test item of '{task}' in common")
    # an earlier version may have noted fewer: groups of either run that share an item are one
    groups = with_twins(*(run.matrix.column(task).groups for run in (first, second)))
    return (
        _row(first, rows[0], task, common, groups),
        _row(second, rows[1], task, common, groups),
    )


def _row(
    run: RunResults, row: int, task: str, items: Set[str], groups: Mapping[str, str]
) -> ScoreMatrix:
    stage, unit = run.stages[row].name, run.matrix.column(task).unit
    column = TaskColumn(task, unit, None, groups)  # one row alone trains nothing
    scores = run.matrix.cell(row, task).scores
    kept = {item: score for item, score in scores.items() if item in items}
    return ScoreMatrix([stage], [column], {(0, task): Cell(kept)})


def _score(run: RunResults, row: int, task: str) -> float | None:
    try:
        return run.matrix.score(row, task)
    except NotMeasured:
        return None
