"""Learn as much as possible, lose at most this much: `auto` and budgets beside plain and joint.

python -m benchmarks.budget --setting tiny
python -m benchmarks.budget --setting smollm2 --seeds 0 --output runs/budget

Run from the root of the repository.  Every figure is over the half of each task's test items that
guided nothing.  With --output a comparison can be killed and run again.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.comparison import smollm2, tiny
from benchmarks.comparison.records import append_to_log, circumstances, command, in_a_line
from forgetless import run
from forgetless.errors import NotMeasured
from forgetless.metrics import word_for
from forgetless.models.load import pick_device
from forgetless.plan import make_plan
from forgetless.preparation import prepare
from forgetless.report.budget import BudgetOutcome
from forgetless.result import RunResult
from forgetless.storage import write_text

EWC = {"ewc": {"strength": 1.0}}


@dataclass(frozen=True)
class Arm:
    """One way of training.

    Attributes:
        name: How tables call it.
        rate: Learning rate.
        methods: As in a plan.
        budget: As in a plan; None for none.
    """

    name: str
    rate: float
    methods: Any = field(default_factory=list)
    budget: Any = None


@dataclass(frozen=True)
class Setting:
    """Where it is measured.

    Attributes:
        prepare: A plan's settings by seed.
        rates: Best rate of plain training, and the usual one.
        budgets: Budgets that are asked for.
        seeds: Seeds unless others are named.
    """

    prepare: Any
    rates: tuple[float, float]
    budgets: tuple[str, ...]
    seeds: str


def tiny_knowing_much(seed: int) -> dict[str, Any]:
    """Setting *tiny*, with all that the base model knows asked in one task of 144 items."""
    settings = tiny.prepare(seed)
    folder = Path(settings["model"]).parent
    known = tiny.known_facts(seed)
    rows = [
        {
            "id": f"{name}-{person}",
            "prompt": tiny.RELATIONS[name].question.format(person),
            "completion": known[name][person],
        }
        for person in (*tiny.PEOPLE, *tiny.OTHERS)
        for name in ("pet", "job", "instrument")
    ]
    file = folder / "known_test.jsonl"
    write_text(file, "".join(json.dumps(row) + "\n" for row in rows))
    return settings | {"test_only": [{"name": "known", "test": str(file), "max_new_tokens": 4}]}


def smollm2_three(seed: int) -> dict[str, Any]:
    """SmolLM2-135M: medical shorthand, legal prose, finance facts; general knowledge tested."""
    settings = smollm2.prepare(seed)
    finance = {"train": "bundled:finance_facts", "train_limit": 160, "limit": 80, "system": ""}
    settings["sequence"].append({"name": "finance"} | finance)
    settings["test_only"] = [task for task in settings["test_only"] if task["name"] == "general"]
    return settings


SETTINGS = {
    "tiny": Setting(
        tiny_knowing_much,
        (2.5e-4, 7e-4),
        ("10%", "20%"),
        "0,1,2,3,4",
    ),
    "smollm2": Setting(smollm2_three, (2.5e-4, 5e-4), ("5%",), "0"),
}


def arms_of(setting: Setting) -> list[Arm]:
    """What stands side by side; plain training at its own best rate and joint come first."""
    best, usual = setting.rates
    own = {"self_replay": {"ratio": 0.13}}
    arms = [
        Arm("plain, best rate", best),
        Arm("joint", usual, ["joint"]),
        Arm("plain", usual),
        Arm("auto", usual, "auto"),
        Arm("no old rows: self_replay 13% + ewc", usual, [own, EWC]),
    ]
    for budget in setting.budgets:
        arms += [
            Arm(f"plain, budget {budget}", usual, [], budget),
            Arm(f"auto, budget {budget}", usual, "auto", budget),
            Arm(f"no old rows, budget {budget}", usual, [own, EWC], budget),
        ]
    return arms


@dataclass(frozen=True)
class Measured:
    """One run.

    Attributes:
        final: Score of every task at the end.
        average: Mean over the trained tasks that are scored right or wrong.
        tokens: Tokens trained on.
        cpu_seconds: What training took.
        budget: What came of its budget.
    """

    final: Mapping[str, float]
    average: float
    tokens: float
    cpu_seconds: float
    budget: BudgetOutcome | None


def measure(arm: Arm, setting: Setting, seed: int, folder: Path) -> Measured:
    """Train an arm and read its scores on the items that certify."""
    settings = setting.prepare(seed)
    settings["training"] = settings["training"] | {"learning_rate": arm.rate}
    settings |= {"methods": arm.methods, "output": str(folder)}
    certify = prepare(make_plan(settings | {"budget": "2%", "methods": []})).tasks
    if arm.budget is not None:
        settings["budget"] = arm.budget
    result: RunResult = run(**settings)
    last = len(result.matrix.stages) - 1
    final: dict[str, float] = {}
    for task in certify:
        try:
            scores = result.matrix.cell(last, task.name).scores
        except NotMeasured:
            continue
        final[task.name] = float(np.mean([scores[row.id] for row in task.test if row.id in scores]))
    trained = [
        task.name for task in certify if task.trained_in is not None and task.unit == "accuracy"
    ]
    training = [stage.training for stage in result.results.stages if stage.training]
    return Measured(
        final,
        float(np.mean([final[name] for name in trained])),
        sum(part.tokens or 0 for part in training),
        sum(part.cpu_seconds or 0 for part in training),
        result.budget,
    )


def row(name: str, runs: Sequence[Measured], bounds: Mapping[str, Sequence[Measured]]) -> list[str]:
    """A line of the table: means over the seeds, then the gap closed seed by seed."""
    plain, joint = bounds["plain, best rate"], bounds["joint"]
    gaps = [
        (mine.average - low.average) / (high.average - low.average)
        for mine, low, high in zip(runs, plain, joint, strict=True)
        if high.average > low.average
    ]
    tokens = np.mean([m.tokens / p.tokens for m, p in zip(runs, plain, strict=True)])
    cost = np.mean([m.cpu_seconds / p.cpu_seconds for m, p in zip(runs, plain, strict=True)])
    gap = f"{np.mean(gaps):.2f} ({min(gaps):.2f} to {max(gaps):.2f})" if gaps else "–"
    return [
        name,
        *(f"{np.mean([m.final[task] for m in runs]):.2f}" for task in runs[0].final),
        f"{np.mean([m.average for m in runs]):.2f}",
        gap,
        f"{tokens:.2f}×",
        f"{cost:.2f}×",
        budgets_kept(runs),
    ]


def budgets_kept(runs: Sequence[Measured]) -> str:
    """Of all kept tasks of all runs: how many lost no more than the budget, and the verdicts."""
    tasks = [task for m in runs if m.budget is not None for task in m.budget.tasks]
    if not tasks:
        return ""
    within = sum(-(task.change.value or 0.0) <= task.budget + 1e-9 for task in tasks)
    words = [word_for(task) for task in tasks]
    stages = [stage for m in runs if m.budget is not None for stage in m.budget.stages]
    neither = sum(stage.status == "not both" for stage in stages)
    return (
        f"{within} of {len(tasks)}; {words.count('certified')} certified, "
        f"{words.count('not certified')} not; {neither} of {len(stages)} stages not both"
    )


def main(
    setting: Annotated[str, typer.Option(help=f"One of {', '.join(SETTINGS)}.")] = "tiny",
    seeds: Annotated[str, typer.Option(help="Seeds, e.g. 0,1,2.")] = "",
    only: Annotated[str, typer.Option(help="Only arms whose name holds this; and bounds.")] = "",
    output: Annotated[
        Path | None, typer.Option(help="Folder of all runs; a temporary one if not given.")
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="Add a section to benchmarks/LOG.md.")] = False,
) -> None:
    """Measure `auto` and budgets beside plain and joint training."""
    where = SETTINGS[setting]
    numbers = [int(part) for part in (seeds or where.seeds).split(",")]
    arms = arms_of(where)
    arms = [arm for arm in arms if arm in arms[:2] or only in arm.name]
    found: dict[str, list[Measured]] = {}
    with tempfile.TemporaryDirectory(prefix="forgetless-budget-") as temporary:
        root = (output or Path(temporary)).resolve()
        for number, arm in enumerate(arms):
            for seed in numbers:
                folder = root / re.sub(r"[^a-z0-9]+", "-", f"{arm.name} {seed}")
                found.setdefault(arm.name, []).append(measure(arm, where, seed, folder))
            typer.echo(" | ".join(row(arm.name, found[arm.name], found)) if number else arm.name)
    head = ["arm", *next(iter(found.values()))[0].final, "average", "gap closed", "tokens",
            "training CPU", "kept tasks within budget"]  # fmt: skip
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    lines += [f"| {' | '.join(row(name, runs, found))} |" for name, runs in found.items()]
    shown = "\n".join(lines) + "\n"
    typer.echo(shown)
    if log:
        facts = circumstances(command("budget", sys.argv[1:]), 1, pick_device("auto"))
        append_to_log(
            f"\n## {facts['date']} · budget, setting {setting}\n\n{in_a_line(facts)} "
            f"Seeds {', '.join(map(str, numbers))}; gap closed is the mean (lowest to highest "
            f"seed), against plain training at its own best rate and joint training.\n\n{shown}"
        )


if __name__ == "__main__":
    typer.run(main)
