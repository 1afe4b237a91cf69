"""Every method beside the others, each at its own best learning rate.

python -m benchmarks.methods --setting tiny
python -m benchmarks.methods --setting smollm2 --output runs/bench --rates 5e-4,1e-3 --rates-alone
python -m benchmarks.methods --setting tiny --again      (the kept table, without its search)
python -m benchmarks.methods --setting overhead          (or overhead_long, overhead_large)

Run from the root of the repository.  With --output a comparison can be killed and run again:
finished runs are reused, so name another folder after a change of the code.  Nothing in the
repository changes without --log or --docs.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.comparison import again as measured_again
from benchmarks.comparison import overhead, page, tables
from benchmarks.comparison.arms import ARMS, OVERHEADS, at_the_middle, available, peer
from benchmarks.comparison.records import (
    append_to_log,
    circumstances,
    command,
    kept,
    log_section,
    save,
)
from benchmarks.comparison.rows import told
from benchmarks.comparison.settings import NamedSetting
from benchmarks.comparison.smollm2 import SMOLLM2
from benchmarks.comparison.tiny import TINY
from forgetless.comparing.arms import JOINT, SEQUENTIAL, Arm
from forgetless.comparing.pool import LocalProcesses
from forgetless.comparing.protocol import Trial, compare
from forgetless.comparing.runs import Job, Measured, device
from forgetless.comparing.settings import Setting
from forgetless.comparing.trials import TrialRunner, plan_of
from forgetless.comparing.workers import Workers
from forgetless.methods import METHODS
from forgetless.methods.compose import Compose
from forgetless.plan import make_plan
from forgetless.preparation import prepare

SETTINGS = {setting.name: setting for setting in (TINY, SMOLLM2)} | overhead.SETTINGS


def main(
    setting: Annotated[str, typer.Option(help=f"One of {', '.join(SETTINGS)}.")] = "tiny",
    arms: Annotated[
        str, typer.Option(help="Only these, by name or pattern, e.g. 'replay*,ewc'; and the peers.")
    ] = "*",
    rates: Annotated[str, typer.Option(help="Learning rates, e.g. 5e-4,1e-3.")] = "",
    seeds: Annotated[str, typer.Option(help="Seeds that are reported, e.g. 0,1,2.")] = "",
    repeats: Annotated[int, typer.Option(help="overhead: turns of all arms.")] = 3,
    jobs: Annotated[int, typer.Option(help="Runs at a time; overhead always takes one.")] = 1,
    threads: Annotated[int, typer.Option(help="Threads of each run.")] = 1,
    output: Annotated[
        Path | None, typer.Option(help="Folder of all runs; a temporary one if not given.")
    ] = None,
    rates_alone: Annotated[
        bool, typer.Option("--rates-alone", help="Search rates, leave options at the middle.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="One seed or turn, the middle rate, no search.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Arms at the points of the kept results, no search.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check every plan and count the runs; train nothing.")
    ] = False,
    log: Annotated[bool, typer.Option("--log", help="Add a section to benchmarks/LOG.md.")] = False,
    docs: Annotated[
        bool,
        typer.Option("--docs", help="Keep the results and write docs/methods/index.md from them."),
    ] = False,
) -> None:
    """Measure methods beside one another."""
    console = Console()
    if not console.is_terminal:
        console.width = 180  # a file is as wide as the tables need
    if setting not in SETTINGS:
        raise typer.BadParameter(f"{setting!r} is none of {', '.join(SETTINGS)}")
    if again and (setting in overhead.SETTINGS or rates or rates_alone or quick or dry_run):
        raise typer.BadParameter("--again takes what was kept of a search; of others, --arms alone")
    try:
        chosen_setting = adjusted(SETTINGS[setting], numbers(rates), numbers(seeds), quick=quick)
        every = OVERHEADS if setting in overhead.SETTINGS else ARMS
        chosen_arms = chosen(every, arms, fixed=quick or rates_alone)
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from None
    if dry_run:
        check(chosen_setting, chosen_arms, console)
        return
    for arm in chosen_arms:  # whatever can be refused is refused before anything runs
        for candidate in arm.candidates(chosen_setting.rates):
            plan = make_plan({"model": "m", "sequence": ["a"], "methods": arm.plan(candidate, {})})
            Compose.from_plan(plan.methods)
    before = kept(setting)["arms"] if again else []
    with tempfile.TemporaryDirectory(prefix="forgetless-benchmark-") as temporary:
        root = (output or Path(temporary)).resolve()
        root.mkdir(parents=True, exist_ok=True)
        alone = setting in overhead.SETTINGS
        with LocalProcesses(
            jobs=1 if alone else jobs, threads=threads, fresh=chosen_setting.fresh
        ) as pool:
            workers = Workers(pool, root)
            if alone:
                turns = 1 if quick else repeats
                rows = measure_overheads(chosen_setting, chosen_arms, turns, workers, console)
            else:
                runner = TrialRunner(chosen_setting, workers, root, teller(console))
                outcomes = (
                    measured_again.measure(chosen_setting, chosen_arms, before, runner)
                    if again
                    else compare(chosen_setting, chosen_arms, runner)
                )
                rows = told(chosen_setting, outcomes)
            where = pool.submit(device).result()
        results = {
            "setting": setting,
            "title": chosen_setting.title,
            **circumstances(command("methods", sys.argv[1:]), threads, where),
            "rates": chosen_setting.rates,
            "adapter_scale": chosen_setting.adapter_scale,
            "search_seeds": chosen_setting.search_seeds,
            "seeds": chosen_setting.seeds,
            "split_items": chosen_setting.split_items,
            "arms": rows,
        }
        show(results, console)
        if again:
            console.print(measured_again.compared(before, rows).rich("beside what was kept"))
        if output is not None:
            console.print(f"results: {save(results, root)}")
    if log:
        shown = f"{tables.how_measured(results)}\n\n{tables.section(results)}"
        append_to_log(log_section(results, shown))
    if docs:
        console.print(f"results: {save(results)}")
        page.write()


def numbers(text: str) -> tuple[float, ...]:
    """Numbers separated by commas; a ValueError where there are none."""
    return tuple(float(part) for part in text.split(",") if part.strip())


def adjusted(
    setting: NamedSetting, rates: Sequence[float], seeds: Sequence[float], *, quick: bool
) -> NamedSetting:
    """A setting with what the command line says."""
    setting = replace(
        setting,
        rates=tuple(rates) or setting.rates,
        seeds=tuple(int(seed) for seed in seeds) or setting.seeds,
    )
    if setting.split_items:
        setting = replace(setting, search_seeds=setting.seeds)
    if quick:
        middle = setting.rates[len(setting.rates) // 2]
        setting = replace(setting, rates=(middle,), seeds=setting.seeds[:1])
    return setting


def chosen(arms: Sequence[Arm], patterns: str, *, fixed: bool) -> list[Arm]:
    """The arms asked for that this version can run, and their peers; in their order.

    Args:
        arms: All there are.
        patterns: Names or patterns, separated by commas.
        fixed: Whether options stay at the middle of their grids, so that rates alone are searched.

    Raises:
        ValueError: if a pattern fits none.
    """
    wanted = [part.strip() for part in patterns.split(",")]
    for pattern in wanted:
        if not any(fnmatch(arm.name, pattern) for arm in arms):
            raise ValueError(f"no arm is named {pattern!r}: {', '.join(arm.name for arm in arms)}")
    found = [
        arm
        for arm in available(arms, [*METHODS])
        if any(fnmatch(arm.name, pattern) for pattern in wanted)
    ]
    peers = {SEQUENTIAL, JOINT} | {name for arm in found if (name := peer(arm))}
    names = {arm.name for arm in found} | peers
    return [at_the_middle(arm) if fixed else arm for arm in arms if arm.name in names]


def check(setting: Setting, arms: Sequence[Arm], console: Console) -> None:
    """Make every plan concrete, as far as that goes without a model, and count the runs."""
    searches = 0
    prepared = setting.prepare(setting.seeds[0])
    for arm in arms:
        grid = list(arm.candidates(setting.rates_for(adapter=arm.adapter)))
        searches += len(grid) * len(setting.search_seeds) * (len(grid) > 1)
        for candidate in grid:
            plan = plan_of(Trial(arm, candidate, setting.seeds[0]), setting, prepared)
            prepare(make_plan({**plan, "output": "unused"}, arm.name))
        console.print(f"{arm.name}: {len(grid)} points", highlight=False)
    reports = len(arms) * len(setting.seeds)
    console.print(f"{searches} runs to choose, at most {reports} to report")


def measure_overheads(
    setting: Setting, arms: Sequence[Arm], repeats: int, workers: Workers, console: Console
) -> list[dict[str, Any]]:
    """Overheads, each run in a process of its own, one after another."""
    seed = setting.seeds[0]
    prepared = workers.call(setting.prepare, [seed])[seed]

    def told(job: Job, measured: Measured, _: bool) -> None:
        spent = measured.failed or f"{measured.stages[-1].cpu_seconds:.1f} CPU s in the last stage"
        console.print(f"{job.name}: {spent}", highlight=False)

    def run(order: Sequence[Arm], turn: int) -> Mapping[str, Measured]:
        jobs = {
            arm.name: Job(
                f"{arm.name.replace('%', '').replace(' ', '-')}-{turn}",
                plan_of(Trial(arm, overhead.point(arm), seed), setting, prepared),
            )
            for arm in order
        }
        found = workers.run(list(jobs.values()), told)
        return {name: found[job.name] for name, job in jobs.items()}

    return overhead.measure(arms, repeats, run)


def teller(console: Console) -> Any:
    """Says what each finished run came to."""

    def told(trial: Trial, measured: Measured, left: int, _: bool) -> None:
        said = measured.failed
        if measured.report is not None:
            finals = [measured.report.score(measured.report.last, task.name)
                      for task in measured.report.tasks]  # fmt: skip
            said = " / ".join(f"{final:.2f}" for final in finals)
            said += f" · {measured.cpu_seconds:.1f} CPU s"
        console.print(
            f"{trial.arm.name} at {trial.candidate}, seed {trial.seed}: {said} · {left} left",
            highlight=False,
            markup=False,
        )

    return told


def show(results: Mapping[str, Any], console: Console) -> None:
    """The tables on the terminal."""
    console.print(tables.table(results).rich(f"{results['setting']}: {results['title']}"))
    for line in (tables.headline(results), *tables.failures(results)):
        if line:
            console.print(line, highlight=False, markup=False)


if __name__ == "__main__":
    typer.run(main)
