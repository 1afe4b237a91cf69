"""How the cost of a stage grows with the number of stages: every method, and the score matrix.

    python -m benchmarks.overhead --output runs/overhead --log

What a method adds to one stage of plain training, in time and memory, is measured elsewhere:
python -m benchmarks.methods --setting overhead  (or overhead_long).  Here every method is taken
through 17 small stages, and stages 4, 8 and 16 are told relative to stage 2 of the same run.  Then
one plan grows by a task at a time, each run taking the stages that it has in common from the run
before, and the items that are scored are counted.

Run from the root of the repository.  With --output what is finished is not measured again.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.comparison import growth
from benchmarks.comparison.growth import ARMS, AT, GROWS, Stage
from benchmarks.comparison.records import append_to_log, circumstances, command, in_a_line
from forgetless.comparing.arms import Arm
from forgetless.comparing.pool import begin, environment

NONE = "–"
STEADY = {"cpu_seconds": 1.2, "state": 1.1, "memory_mb": 1.1}  # up to here a figure is constant
LITTLE = 10_000  # bytes of state: how less than that grows is not worth a word
NAMES = {"cpu_seconds": "CPU time", "state": "state", "memory_mb": "memory"}


def grown(arms: Sequence[Arm], output: Path) -> dict[str, list[Stage]]:
    """Every stage of every arm's run; finished ones are read."""
    plan = _plan(output)
    found = {}
    for arm in arms:
        name = re.sub(r"[^a-z0-9]+", "-", arm.name)
        own = plan | {"methods": growth.methods_of(arm), "output": str(output / name)}
        (found[arm.name],) = _carried_out(output / f"{name}.json", [(own, ())])
        spent = sum(stage.cpu_seconds for stage in found[arm.name])
        typer.echo(f"{arm.name}: {spent:.1f} CPU s")
    return found


def chain(output: Path) -> list[list[Stage]]:
    """Runs of one plan that grows by a task at a time, each taking from the one before.

    Returns:
        For 1 task, 2 tasks and so on the stages of the run; for the last one, once more what the
        same command does when all is finished.
    """
    plan = _plan(output)
    names = [str(output / f"chain-{tasks}") for tasks in range(AT[-1] + 1)]
    runs = [
        (plan | {"sequence": plan["sequence"][:tasks], "methods": [], "output": names[tasks]},
         names[tasks - 1 : tasks] if tasks > 1 else [])
        for tasks in range(1, AT[-1] + 1)
    ]  # fmt: skip
    return _carried_out(output / "chain.json", [*runs, (runs[-1][0], [])])


def _plan(output: Path) -> dict[str, Any]:
    """The settings of a plan of 17 tasks; model and data are made at the first call."""
    file = output / "plan.json"
    if not file.is_file():
        (output / "data").mkdir(exist_ok=True)
        _in_a_process(growth.write_plan, output / "data", AT[-1] + 1, file)
    plan: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return plan


def _carried_out(
    file: Path, runs: Sequence[tuple[dict[str, Any], Sequence[str]]]
) -> list[list[Stage]]:
    """Stages of some runs, in one process of their own; read where that was done before."""
    if not file.is_file():
        for plan, _ in runs:  # what was cut off would be gone on with, and not be measured
            shutil.rmtree(plan["output"], ignore_errors=True)
        _in_a_process(growth.write_stages, runs, file)
    return [[Stage(**stage) for stage in run] for run in json.loads(file.read_text("utf-8"))]


def _in_a_process(function: Callable[..., None], *arguments: Any) -> None:
    """Call a function in a copy of this process, which has loaded what every run needs."""
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{function.__name__} failed")


def growth_table(found: Mapping[str, Sequence[Stage]]) -> list[str]:
    """Each arm's stages relative to the second, and what grows though nothing says that it must."""
    later = AT[1:]
    lines = [
        "| methods | stage 2, CPU s | " + " | ".join(f"stage {at}" for at in later)
        + f" | state after {AT[-1]}, kB | of that after 2 | memory in {AT[-1]}, of that in 2 |",
        "| --- |" + " ---: |" * (len(later) + 4),
    ]  # fmt: skip
    notes = []
    for name, stages in found.items():
        ratios = [growth.ratio(stages, at, "cpu_seconds") for at in later]
        last = {what: growth.ratio(stages, AT[-1], what) for what in STEADY}
        if stages[AT[-1]].state < LITTLE:
            last["state"] = None
        cells = [
            f"{stages[AT[0]].cpu_seconds:.2f}",
            *map(times, ratios),
            f"{stages[AT[-1]].state / 1e3:,.1f}",
            times(last["state"]),
            times(last["memory_mb"]),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
        grew = [NAMES[what] for what, value in last.items() if (value or 0) > STEADY[what]]
        if name in GROWS:
            notes.append(f"- {name} cannot be constant: {GROWS[name]}.")
        elif grew:
            notes.append(f"- {name}: {', '.join(grew)} grew, and nothing says that it must.")
    return [*lines, "", *notes]


def times(value: float | None) -> str:
    """A ratio, or a dash."""
    return NONE if value is None else f"{value:.2f}×"


def scoring_table(
    whole: Sequence[Stage], runs: Sequence[Sequence[Stage]], items: int = growth.ITEMS
) -> list[str]:
    """Items scored, where a run goes through all its tasks and where the plan grows.

    Args:
        whole: Stages of one run of 17 tasks.
        runs: Of a plan that grew to 16 tasks, and of its last run called again.
        items: Test items of a task.
    """
    *grew, again = runs
    lines = [
        "| tasks | items in the matrix | scored when the last task is added | of these, of the "
        "rows that were there | each row anew would be |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for at in AT:
        stages = grew[at - 1]
        scored = [stage.items for stage in stages]
        lines.append(
            f"| {at} | {(at + 1) * at * items} | {sum(scored)} | {sum(scored[:-1])} "
            f"| {(at + 1) * at * items} |"
        )
    each = " or ".join(str(count) for count in sorted({stage.items for stage in whole}))
    again_scored = sum(stage.items for stage in again)
    books = growth.ratio(whole, AT[-1], "books_cpu_seconds")
    return [
        *lines,
        "",
        f"In one run of {len(whole) - 1} tasks every row scores {each} items, {items} for each "
        f"task. The finished run of {AT[-1]} tasks, called again, scores {again_scored}.",
        f"CPU time of scoring and of what is written of it, stage {AT[-1]} relative to stage "
        f"{AT[0]}: {times(books)}.",
    ]


def main(
    arms: Annotated[
        str, typer.Option(help="Only these, by name or pattern, e.g. 'replay*,ewc'.")
    ] = "*",
    output: Annotated[
        Path | None, typer.Option(help="Folder of all runs; a temporary one if not given.")
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="Add a section to benchmarks/LOG.md.")] = False,
) -> None:
    """Measure how costs grow with the stages."""
    patterns = ["sequential", *arms.split(",")]
    chosen = [arm for arm in ARMS if any(fnmatch(arm.name, pattern) for pattern in patterns)]
    with tempfile.TemporaryDirectory(prefix="forgetless-overhead-") as temporary:
        root = (output or Path(temporary)).resolve()
        root.mkdir(parents=True, exist_ok=True)
        os.environ.update(environment(threads=1))  # before torch is loaded
        begin(threads=1)
        found = grown(chosen, root)
        runs = chain(root)
    shown = "\n".join([*growth_table(found), *scoring_table(found["sequential"], runs)]) + "\n"
    typer.echo(shown)
    if log:
        facts = circumstances(command("overhead", sys.argv[1:]), 1, "cpu")
        append_to_log(
            f"\n## {facts['date']} · growth with the stages\n\n{in_a_line(facts)}\n\n{shown}"
        )


if __name__ == "__main__":
    typer.run(main)
