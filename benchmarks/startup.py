"""What a start costs: CPU seconds of cold processes, beside the peers' own ``--help``.

    python -m benchmarks.startup --log

Every start is a process of its own, all of them in turn, and the turns are repeated; a first one of
each, which may still have to write bytecode, is not counted but lists what it imported.  The audit
asks two random models 16 questions of four choices; what it cannot do without is measured beside
it: the same two models loaded by transformers.  Run from the root of the repository; the peers are
those commands that are installed beside this Python.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

import forgetless
from benchmarks.comparison import tiny
from benchmarks.comparison.records import append_to_log, circumstances, command, in_a_line

ITEMS = 16
WITHIN = 0.3  # CPU seconds wanted of the help and of the import
LOADED = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
for folder in sys.argv[1:]:
    AutoTokenizer.from_pretrained(folder)
    AutoModelForCausalLM.from_pretrained(folder)
"""


@dataclass(frozen=True)
class Start:
    """A process that is started.

    Attributes:
        name: How the table calls it.
        arguments: What Python is given.
        wanted: CPU seconds that it should stay below, where that was said.
        codes: Exit codes with which it did what it should.
    """

    name: str
    arguments: Sequence[str]
    wanted: float | None = None
    codes: frozenset[int] = field(default=frozenset({0}))


def peers() -> dict[str, Path]:
    """The commands of others that are installed beside this Python."""
    scripts = {name: Path(sys.executable).with_name(name) for name in ("lm_eval", "trl")}
    return {name: script for name, script in scripts.items() if script.is_file()}


def starts(folder: Path) -> list[Start]:
    """Everything that is started; models and questions are made in a folder.

    Args:
        folder: An empty one.
    """
    models = [str(folder / name) for name in ("before", "after")]
    tokenizer = tiny.build_tokenizer()
    for seed, model in enumerate(models):
        tiny.build_model(seed, tiny.Size(), tokenizer).save_pretrained(model)
        tokenizer.save_pretrained(model)
    asked = tiny.RELATIONS[tiny.KNOWN]
    items = [
        {"question": asked.question.format(person), "choices": asked.answers[:4], "answer": "A"}
        for person in tiny.PEOPLE[:ITEMS]
    ]
    exam = folder / "exam.jsonl"
    exam.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    ours = ["-m", "forgetless"]
    audit = [*ours, "audit", *models, "--task", str(exam), "--no-store", "--quiet"]
    return [
        Start("python, nothing done", ["-c", "pass"]),
        Start("import forgetless", ["-c", "import forgetless"], WITHIN),
        Start("forgetless --help", [*ours, "--help"], WITHIN),
        *(Start(f"{name} --help", [str(script), "--help"]) for name, script in peers().items()),
        Start("both models by transformers", ["-c", LOADED, *models]),
        # a random model knows nothing, so its audit may end with any of its verdicts
        Start("forgetless audit", audit, codes=frozenset({0, 3, 4})),
    ]


def environment() -> Mapping[str, str]:
    """One thread, no network, and the very code that measures."""
    source = str(Path(forgetless.__file__).parents[1])
    return os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": source}


def started(start: Start, folder: Path, *flags: str) -> tuple[float, str]:
    """CPU seconds of one process and of those that it started, and what it said on stderr."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    finished = subprocess.run(
        [sys.executable, *flags, *start.arguments],
        cwd=folder, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if finished.returncode not in start.codes:
        raise SystemExit(f"{start.name} ended with {finished.returncode}:\n{finished.stderr}")
    took = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return took, finished.stderr


def imported(start: Start, folder: Path) -> set[str]:
    """The modules that a process imports, as Python itself lists them."""
    _, told = started(start, folder, "-X", "importtime")
    lines = [line for line in told.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def measure(every: Sequence[Start], folder: Path, repeats: int) -> list[str]:
    """The table's lines: what each start imports, then its CPU seconds in all turns."""
    modules = {start.name: imported(start, folder) for start in every}
    took: dict[str, list[float]] = {start.name: [] for start in every}
    for _ in range(repeats):
        for start in every:
            took[start.name].append(started(start, folder)[0])
    lines = [
        "| start | CPU s, median | least to most | wanted | modules | torch |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for start in every:
        seconds, found = took[start.name], modules[start.name]
        wanted = "–" if start.wanted is None else f"< {start.wanted:g}"
        torch = "imported" if "torch" in found else "not imported"
        lines.append(
            f"| {start.name} | {median(seconds):.2f} | {min(seconds):.2f} to {max(seconds):.2f} "
            f"| {wanted} | {len(found):,} | {torch} |"
        )
    return lines


def main(
    repeats: Annotated[int, typer.Option(min=1, help="Turns of all starts.")] = 5,
    log: Annotated[bool, typer.Option("--log", help="Add a section to benchmarks/LOG.md.")] = False,
) -> None:
    """Measure what starts cost."""
    with tempfile.TemporaryDirectory(prefix="forgetless-startup-") as temporary:
        folder = Path(temporary)
        lines = measure(starts(folder), folder, repeats)
    absent = sorted({"lm_eval", "trl"} - peers().keys())
    told = [f"{name} is not installed here: not measured." for name in absent]
    shown = "\n".join([*lines, *(["", *told] if told else [])]) + "\n"
    typer.echo(shown)
    if log:
        facts = circumstances(command("startup", sys.argv[1:]), 1, "cpu")
        for name in peers():
            facts["versions"] |= {name: version(name)}
        append_to_log(f"\n## {facts['date']} · startup\n\n{in_a_line(facts)}\n\n{shown}")


if __name__ == "__main__":
    typer.run(main)
