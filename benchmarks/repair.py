"""Repair beside rollback and a single merge: what is kept of the new, what is lost of the old.

python -m benchmarks.repair

Run from the root of the repository.  On the tiny model of `benchmarks/comparison/tiny.py`: plain
training on the cities, then on the colours; base is the model between the two.  Half of the items
choose, the figures are of the other half.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.budget import tiny_knowing_much
from benchmarks.comparison.records import append_to_log, circumstances, command, in_a_line
from forgetless import run
from forgetless.evaluation.scorer import score_task
from forgetless.models.load import load_model
from forgetless.plan import ModelConfig, make_plan
from forgetless.preparation import prepare
from forgetless.repairing.points import BASE, TUNED, Between, Point
from forgetless.repairing.repair import repair
from forgetless.tasks.halves import halves
from forgetless.tasks.task import Task

BATCH = 64
LINEAR = [Point.even(tenth / 10) for tenth in range(11)]
HALF_WAY = Point.even(0.5)

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Measured:
    """One way out, on the items that certify.

    Attributes:
        learned: Share of what tuning gained on the new task that is left.
        lost: Largest loss of an older task against base.
        within: Whether that is within the budget.
        said: What the repair said of itself.
    """

    learned: float
    lost: float
    within: bool
    said: str = ""


def scored(model: Any, tasks: Sequence[Task]) -> Scores:
    """Mean score of each task."""
    found = {}
    for task in tasks:
        results = [result for batch in score_task(model, task, BATCH) for result in batch]
        found[task.name] = float(np.mean([r.score for r in results if r.score is not None]))
    return found


def measured(now: Scores, base: Scores, tuned: Scores, new: str, budget: float) -> Measured:
    """How a way out did."""
    gain = tuned[new] - base[new]
    lost = max(base[name] - now[name] for name in base if name != new)
    return Measured((now[new] - base[new]) / gain, lost, lost <= budget + 1e-9)


def one_seed(seed: int, rate: float, budget: float, root: Path) -> dict[str, Measured]:
    """All ways out of one damaged model."""
    settings = tiny_knowing_much(seed)
    settings["sequence"] = settings["sequence"][:2]
    settings["training"] = settings["training"] | {"learning_rate": rate}
    settings |= {"methods": [], "output": str(root / f"{seed}-{rate:g}")}
    trained = run(**settings)
    base, tuned = trained.model_path(1), trained.model_path(2)
    tasks = prepare(make_plan(settings)).tasks
    new = tasks[1].name
    search, certify = zip(*map(halves, tasks), strict=True)
    before = load_model(ModelConfig(name=str(base)), "cpu")
    values = {name: value.detach().clone() for name, value in before.model.named_parameters()}
    loaded = load_model(ModelConfig(name=str(tuned)), "cpu")
    between = Between(loaded.model, values)

    def at(point: Point, half: Sequence[Task]) -> Scores:
        between.set(point)
        return scored(loaded, half)

    low, high = at(BASE, search), at(TUNED, search)
    kept = [point for point in LINEAR if measured(at(point, search), low, high, new, budget).within]
    ends = at(BASE, certify), at(TUNED, certify)
    ways = {
        "as tuned": TUNED,
        "rollback": BASE,
        "half way": HALF_WAY,
        "largest linear within budget": max(kept, key=lambda point: point.alpha),
    }
    found = {name: measured(at(point, certify), *ends, new, budget) for name, point in ways.items()}
    folder = root / f"repaired-{seed}-{rate:g}"
    came = repair(str(base), str(tuned), tasks, budget=budget, output=folder, device="cpu")
    if came.model:
        model = load_model(ModelConfig(name=came.model), "cpu")
        now = measured(scored(model, certify), *ends, new, budget)
        found["repair"] = Measured(now.learned, now.lost, now.within, came.status)
    else:  # nothing was written: the user has base or tuned, and knows why
        found["repair"] = Measured(0.0, 0.0, True, came.status)
    return found


def main(
    seeds: Annotated[str, typer.Option(help="Seeds, e.g. 0,1,2.")] = "0,1,2,3,4",
    rates: Annotated[str, typer.Option(help="Learning rates of the damage.")] = "2.5e-4,7e-4",
    budget: Annotated[float, typer.Option(help="Loss accepted.")] = 0.1,
    log: Annotated[bool, typer.Option("--log", help="Add a section to benchmarks/LOG.md.")] = False,
) -> None:
    """Measure ways out of damage."""
    found: dict[str, list[Measured]] = {}
    with tempfile.TemporaryDirectory(prefix="forgetless-repair-") as temporary:
        for rate in map(float, rates.split(",")):
            for seed in map(int, seeds.split(",")):
                for name, one in one_seed(seed, rate, budget, Path(temporary)).items():
                    found.setdefault(name, []).append(one)
    lines = [
        "| way out | new learned | largest old loss | within budget | said |",
        "|" + " --- |" * 5,
    ]
    for name, runs in found.items():
        said = sorted({one.said for one in runs if one.said})
        words = ", ".join(f"{sum(one.said == word for one in runs)} {word}" for word in said)
        lines.append(
            f"| {name} | {np.mean([one.learned for one in runs]):.2f} | "
            f"{np.mean([one.lost for one in runs]):.2f} | "
            f"{sum(one.within for one in runs)} of {len(runs)} | {words} |"
        )
    shown = "\n".join(lines) + "\n"
    typer.echo(shown)
    if log:
        facts = circumstances(command("repair", sys.argv[1:]), 1, "cpu")
        append_to_log(
            f"\n## {facts['date']} · repair, setting tiny\n\n{in_a_line(facts)} "
            f"Budget {budget:g}; means over damaged models.\n\n{shown}"
        )


if __name__ == "__main__":
    typer.run(main)
