"""What a model scores on the tasks of the built-in suites, level by level, beside chance.

    python -m benchmarks.suites --log --docs
    python -m benchmarks.suites --tasks reading,format --limit 60

Run from the root of the repository.  --docs puts the table into docs/suites.md.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated

import typer

from benchmarks.comparison.records import ROOT, append_to_log, circumstances
from forgetless.evaluation.result import ItemResult
from forgetless.evaluation.scorer import score_task
from forgetless.models.load import load_model
from forgetless.plan import BUNDLED, ModelConfig, TaskConfig
from forgetless.tasks.suites import suite
from forgetless.tasks.task import Task, load_task

MODEL = "bundled:smollm2-135m-instruct"
PAGE = ROOT / "docs" / "suites.md"
START, END = "<!-- measured: start -->", "<!-- measured: end -->"
HEADER = """\
| task | part | items | score | chance | other readings | CPU s |
| --- | --- | ---: | ---: | ---: | --- | ---: |"""


def main(
    model: Annotated[str, typer.Option(help="Which model.")] = MODEL,
    tasks: Annotated[str, typer.Option(help="Only these, with commas; else the suite.")] = "",
    limit: Annotated[int, typer.Option(help="Only the first items of each; 0: all.")] = 0,
    log: Annotated[bool, typer.Option("--log", help="Add the table to benchmarks/LOG.md.")] = False,
    docs: Annotated[
        bool, typer.Option("--docs", help="Put the table into docs/suites.md.")
    ] = False,
) -> None:
    """Score the tasks and print the table."""
    import torch

    torch.set_num_threads(1)
    names = tasks.split(",") if tasks else [one.task for one in suite("default")]
    asked = [load_task(TaskConfig(test=BUNDLED + name, limit=limit or None)) for name in names]
    loaded = load_model(ModelConfig(name=model))
    lines = [HEADER]
    print(HEADER)
    for task in asked:
        started = time.process_time()
        results = [result for batch in score_task(loaded, task, 32) for result in batch]
        more = rows(task, results, time.process_time() - started)
        print("\n".join(more), flush=True)
        lines += more
    about = circumstances(
        shlex.join(["python", "-m", "benchmarks.suites", *sys.argv[1:]]), 1, "cpu"
    )
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    caption = (
        f"{about['date']}, `{about['command']}`: {model}, 1 thread. {about['machine']}; {versions}."
    )
    table = "\n".join([caption, "", *lines, ""])
    if log:
        append_to_log(f"\n## {about['date']} · built-in suites\n\n{table}")
    if docs:
        write(table, PAGE)


def rows(task: Task, results: Sequence[ItemResult], seconds: float) -> list[str]:
    """A line of the table for each level, half or language, and one for all."""
    choices = len(task.test[0].choices)
    chance = f"{1 / choices:.2f}" if choices else "–"
    lines = []
    for part in (*sorted({part_of(result) for result in results}), "all"):
        scored = [r for r in results if part in ("all", part_of(r)) and r.score is not None]
        assert scored, f"{task.name}: nothing could be scored: {results[0].error}"
        names = dict.fromkeys(name for r in scored for name in r.readings if name != "tokens")
        readings = {  # some are of one half of a task alone
            name: fmean(r.readings[name] for r in scored if name in r.readings) for name in names
        }
        other = ", ".join(f"{name} {mean:.2f}" for name, mean in readings.items())
        score = fmean(r.score for r in scored if r.score is not None)
        shown, spent = (f"**{task.name}**", f"{seconds:.0f}") if part == "all" else (task.name, "")
        cells = [shown, part, str(len(scored)), f"{score:.2f}", chance, other, spent]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def part_of(result: ItemResult) -> str:
    """Level of an item, or which half it is of."""
    return result.item.split("/")[0]


def write(table: str, page: Path) -> None:
    """Put the table between the marks of the page."""
    before, rest = page.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    page.write_text(f"{before}{START}\n{table}{END}{after}", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    typer.run(main)
