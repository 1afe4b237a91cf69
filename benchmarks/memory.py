"""Memory of a run over many rows: the same plan over few and over many, each in its own process.

    python -m benchmarks.memory --rows 5000000

A stage over the many rows, then one that rehearses them.  What counts is memory that cannot be
taken back (``RssAnon``); pages of mapped files, which the system drops when it needs room, are told
beside it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.comparison import tiny
from benchmarks.comparison.records import append_to_log, circumstances, command, in_a_line

FEW = 5_000
WORDS = ("amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jetty")


def write_rows(file: Path, rows: int) -> None:
    """So many different questions with answers."""
    with file.open("w", encoding="utf-8") as lines:
        for number in range(rows):
            said = " ".join(WORDS[int(digit)] for digit in str(number))
            row = {"prompt": f"say {number}", "completion": said}
            lines.write(json.dumps(row) + "\n")


def plan(folder: Path, rows: int) -> dict[str, Any]:
    """Two stages of a few steps: the many rows, and others beside which they are rehearsed."""
    model = tiny.prepare(0)["model"]
    write_rows(folder / "many.jsonl", rows)
    write_rows(folder / "test.jsonl", 16)
    write_rows(folder / "few.jsonl", 64)
    return {
        "model": model,
        "sequence": [
            {
                "name": "many",
                "train": str(folder / "many.jsonl"),
                "test": str(folder / "test.jsonl"),
            },
            {"name": "few", "train": str(folder / "few.jsonl"), "test": str(folder / "test.jsonl")},
        ],
        "methods": ["replay"],
        "training": {"steps": 20, "batch_size": 8},
        "output": str(folder / "run"),
    }


def measured(rows: int) -> tuple[float, float, float]:
    """Megabytes of 10^6 bytes, anonymous and with mapped files, and seconds of one run."""
    with tempfile.TemporaryDirectory(prefix="forgetless-memory-") as temporary:
        folder = Path(temporary)
        (folder / "plan.json").write_text(json.dumps(plan(folder, rows)))
        code = "import sys, json, forgetless; forgetless.run(**json.load(open(sys.argv[1])))"
        started = time.perf_counter()
        with subprocess.Popen([sys.executable, "-c", code, str(folder / "plan.json")]) as process:
            anonymous = whole = 0.0
            while process.poll() is None:
                anonymous = max(anonymous, megabytes(process.pid, "RssAnon"))
                whole = max(whole, megabytes(process.pid, "VmHWM"))
                time.sleep(0.05)
        if process.returncode:
            raise SystemExit(f"the run over {rows} rows failed")
        return anonymous, whole, time.perf_counter() - started


def megabytes(process: int, name: str) -> float:
    """A line of a process's status; 0 where it has none, as at its end."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def main(
    rows: Annotated[int, typer.Option(help="Rows of the large source.")] = 5_000_000,
    log: Annotated[bool, typer.Option("--log", help="Add a section to benchmarks/LOG.md.")] = False,
) -> None:
    """Measure the memory of a run over few rows and over many."""
    found = {number: measured(number) for number in (FEW, rows)}
    lines = [
        "| rows | memory, MB | with mapped files, MB | seconds |",
        "| ---: | ---: | ---: | ---: |",
    ]
    lines += [f"| {n:,} | {a:.0f} | {w:.0f} | {s:.0f} |" for n, (a, w, s) in found.items()]
    more = found[rows][0] - found[FEW][0]
    shown = "\n".join([*lines, "", f"More for the larger source: {more:.0f} MB."]) + "\n"
    typer.echo(shown)
    if log:
        facts = circumstances(command("memory", sys.argv[1:]), 1, "cpu")
        append_to_log(f"\n## {facts['date']} · memory\n\n{in_a_line(facts)}\n\n{shown}")


if __name__ == "__main__":
    typer.run(main)
