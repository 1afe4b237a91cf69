"""Results on disk: the file that the documents are written from, and the log of measurements."""

from __future__ import annotations

import json
import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from forgetless.storage import write_json

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
LOG = ROOT / "benchmarks" / "LOG.md"


def circumstances(command: str, threads: int, device: str) -> dict[str, Any]:
    """When, where and with what something was measured."""
    packages = ("forgetless", "torch", "transformers", "peft")
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "command": command,
        "machine": f"{os.cpu_count()} cores, {processor()}",
        "device": device,
        "threads": threads,
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in packages},
    }


def command(benchmark: str, arguments: Sequence[str]) -> str:
    """The command that gives the results again: what does not decide them is left out."""
    with_value, alone = {"--output", "--jobs"}, {"--log", "--docs"}
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument in with_value:
            next(rest, None)
        elif argument not in alone and argument.split("=")[0] not in with_value:
            kept.append(argument)
    return shlex.join(["python", "-m", f"benchmarks.{benchmark}", *kept])


def in_a_line(facts: Mapping[str, Any]) -> str:
    """The circumstances in a line of Markdown."""
    versions = ", ".join(f"{name} {value}" for name, value in facts["versions"].items())
    return f"`{facts['command']}`; {facts['machine']}; {versions}."


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def save(results: Mapping[str, Any], folder: Path = RESULTS) -> Path:
    """Replace a setting's results."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{results['setting']}.json"
    write_json(file, results)
    return file


def kept(setting: str, folder: Path = RESULTS) -> dict[str, Any]:
    """A setting's results as they were saved."""
    results: dict[str, Any] = json.loads((folder / f"{setting}.json").read_text(encoding="utf-8"))
    return results


def log_section(results: Mapping[str, Any], shown: str) -> str:
    """A dated section for the log.

    Args:
        results: What was measured.
        shown: Its tables as Markdown.
    """
    return f"\n## {results['date']} · methods, setting {results['setting']}\n\n{shown}"


def append_to_log(section: str, log: Path = LOG) -> None:
    """Add a section at the end."""
    with log.open("a", encoding="utf-8", newline="\n") as file:
        file.write(section)
