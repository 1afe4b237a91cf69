"""Whether runs can stand side by side, and what to know before comparing them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from forgetless.errors import NotMeasured, RunFolderError
from forgetless.report.data import RunResults
from forgetless.report.same_items import asked_otherwise
from forgetless.report.wording import listing

_SAME = 1e-3
"""Scores of the untouched model that differ by less, as another machine's may, are the same."""


def check_side_by_side(runs: Sequence[RunResults]) -> list[str]:
    """Refuse runs that cannot be compared, and say what makes a comparison doubtful.

    Returns:
        The runs' own warnings, then what differs between them.

    Raises:
        RunFolderError: if there is no run, or the tasks differ.
    """
    if not runs:
        raise RunFolderError("no run folder was named", fix="forgetless report runs/NAME")
    folders = [run.folder.resolve() for run in runs]
    for run, folder in zip(runs, folders, strict=True):
        if folders.count(folder) > 1:
            raise RunFolderError(f"{run.folder}: named more than once", fix="name each run once")
    first = runs[0]
    warnings = _own_warnings(runs)
    for other in runs[1:]:
        _check_tasks(first, other)
        pair = f"{first.name} and {other.name}"
        if _identity(first) != _identity(other):
            warnings.append(f"{pair} did not start from the same model; do not compare them")
        elif any(_differ_at_first(first, other, task.name) for task in first.tasks):
            warnings.append(f"{pair} score the untouched model differently; they should agree")
        if first.seed != other.seed:
            warnings.append(f"{pair} ran with different seeds ({first.seed} and {other.seed})")
        sequences = not (first.is_joint or other.is_joint)
        if sequences and [s.tasks for s in first.stages] != [s.tasks for s in other.stages]:
            warnings.append(f"{pair} trained the tasks in a different order")
        warnings += _other_data(first, other, pair)
    return list(dict.fromkeys(warnings))


def arm_titles(runs: Sequence[RunResults]) -> list[str]:
    """The label of each run, with its name or folder where that alone would not tell it apart."""
    spellings = (
        [run.label for run in runs],
        [f"{run.label} ({run.name})" for run in runs],
        [f"{run.label} ({run.folder})" for run in runs],
    )
    counts = [Counter(spelling) for spelling in spellings]
    return [
        next(
            (
                spelling[i]
                for spelling, count in zip(spellings, counts, strict=True)
                if count[spelling[i]] == 1
            ),
            spellings[-1][i],
        )
        for i in range(len(runs))
    ]


def _own_warnings(runs: Sequence[RunResults]) -> list[str]:
    """Each run's warnings; one that several runs share is told once, with their names."""
    told: dict[str, list[str]] = {}
    for run in runs:
        for text in _warnings_of(run):
            names = told.setdefault(text, [])
            names += [] if run.name in names else [run.name]
    if len(runs) == 1:
        return list(told)
    return [
        f"{'all runs' if len(names) == len(runs) else listing(names)}: {text}"
        for text, names in told.items()
    ]


def _warnings_of(run: RunResults) -> list[str]:
    warnings = []
    if run.state != "finished":
        done = sum(stage.done for stage in run.stages)
        state = "failed" if run.state == "failed" else "is not finished"  # whoever works on it
        warnings.append(f"the run {state}, {done} of {len(run.stages)} stages are done")
    warnings += run.warnings
    warnings += [f"task '{task.name}': {text}" for task in run.tasks for text in task.warnings]
    return warnings


def _check_tasks(first: RunResults, other: RunResults) -> None:
    here = {task.name: task.unit for task in first.tasks}
    there = {task.name: task.unit for task in other.tasks}
    if list(here) != list(there):
        raise RunFolderError(
            f"{other.folder}: its tasks are {listing(list(there))}, "
            f"those of {first.folder} are {listing(list(here))}; needed the same, in one order",
            fix="make a report for each of them",
        )
    for name, unit in here.items():
        if there[name] != unit:
            raise RunFolderError(
                f"{other.folder}: task '{name}' is scored in {there[name]}, "
                f"in {first.folder} in {unit}; needed the same unit",
                fix="make a report for each of them",
            )


def _differ_at_first(first: RunResults, other: RunResults, task: str) -> bool:
    """Whether the untouched model scored otherwise on the items that both runs asked."""
    try:
        here, there = first.matrix.cell(0, task).scores, other.matrix.cell(0, task).scores
    except NotMeasured:
        return False
    common = (here.keys() & there.keys()) - asked_otherwise(first, other, task)
    return any(abs(here[item] - there[item]) > _SAME for item in common)


def _other_data(first: RunResults, other: RunResults, pair: str) -> Iterator[str]:
    """What to know where tasks of one name are not of the same rows and items."""
    tasks = list(zip(first.tasks, other.tasks, strict=True))
    rows = [here.name for here, there in tasks if _differ(here.train_sha256, there.train_sha256)]
    items = [
        here.name
        for here, there in tasks
        if _differ(here.test_sha256, there.test_sha256) or asked_otherwise(first, other, here.name)
    ]
    if rows:
        yield f"{pair} learned {listing(rows)} from different rows"
    if items:
        yield (
            f"{pair} have different test items of {listing(items)}: only those that ask the same "
            "are compared"
        )


def _differ(here: str | None, there: str | None) -> bool:
    """Whether two hashes differ, where both were noted."""
    return None not in (here, there) and here != there


def _identity(run: RunResults) -> str:
    return run.model.sha256 or run.model.name
