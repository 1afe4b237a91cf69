"""What a guard has found so far, how it is logged, and how it travels in checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forgetless.errors import UsageError
from forgetless.guard.judge import Finding
from forgetless.metrics import Cell
from forgetless.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Check:
    """All tasks asked at one step.

    Attributes:
        step: Optimiser steps taken by then; 0 is the model before the first.
        cells: Items by task name.
        findings: What became of each task since step 0, by name; empty at step 0.
        seconds: Wall time of asking.
    """

    step: int
    cells: Mapping[str, Cell]
    findings: Mapping[str, Finding]
    seconds: float

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the tasks whose budget is broken."""
        return tuple(name for name, finding in self.findings.items() if finding.broken)

    @property
    def within(self) -> bool:
        """Whether the loss found on every task is within its budget."""
        return all(finding.within for finding in self.findings.values())

    def score(self, task: str) -> float | None:
        """Mean score of a task; None if no item could be scored."""
        scores = self.cells[task].scores.values()
        return sum(scores) / len(scores) if scores else None


def figures(check: Check, tasks: Sequence[Task]) -> dict[str, float]:
    """What is logged of a check; a task that could not be scored has no figure."""
    found = {"retention/broken": float(len(check.broken))}
    losses: dict[str, list[float]] = {"accuracy": [], "nats": []}
    for task in tasks:
        finding = check.findings.get(task.name)
        score = check.score(task.name)
        change = 0.0 if finding is None else finding.change.value
        if score is None or change is None:
            continue
        found[f"retention/{task.name}"] = score
        found[f"retention/{task.name}_change"] = change
        losses[task.unit].append(0.0 - change)  # not -0.0
    if worst := losses["accuracy"] or losses["nats"]:
        found["retention/worst_loss"] = max(worst)
    return found


def to_state(checks: Sequence[Check], good: Check, asked: Mapping[str, str], training: str) -> Any:
    """Plain data for a checkpoint.

    Lists are packed as text, for a Trainer writes each element of a list on a line of its own.

    Args:
        checks: The first one before the first step.
        good: The last within budget, be it one of them or of the attempt before.
        asked: Hash of what was asked, by task name.
        training: Name of the training.
    """
    ids = {name: [*cell.scores, *cell.errors] for name, cell in checks[0].cells.items()}

    def packed(check: Check) -> dict[str, Any]:
        return {
            "step": check.step,
            "seconds": check.seconds,
            "scores": {
                name: json.dumps([cell.scores.get(item) for item in ids[name]])
                for name, cell in check.cells.items()
            },
            "errors": {name: json.dumps(dict(cell.errors)) for name, cell in check.cells.items()},
        }

    return {
        "training": training,
        "asked": dict(asked),
        "ids": {name: json.dumps(items) for name, items in ids.items()},
        "good": packed(good),
        "checks": [packed(check) for check in checks],
    }


def good_step(state: Mapping[str, Any]) -> int | None:
    """The step of the last check within budget; None if an earlier version packed the state."""
    good = state.get("good")
    return int(good["step"]) if isinstance(good, Mapping) else None


Asked = tuple[int, dict[str, Cell], float]  # step, items by task name, seconds


def from_state(state: Mapping[str, Any]) -> tuple[list[Asked], Asked]:
    """The checks that :func:`to_state` packed, and the last one within budget.

    Raises:
        UsageError: if a version packed them that said less of them.
    """
    if good_step(state) is None:
        raise UsageError(
            "the checkpoint was written by an earlier version of forgetless, whose RetentionGuard "
            "did not keep how the tasks scored at the last check within budget",
            fix="train from the start:  trainer.train()",
        )
    ids = {name: json.loads(items) for name, items in state["ids"].items()}

    def unpacked(check: Mapping[str, Any]) -> Asked:
        cells = {
            name: Cell(
                {
                    item: score
                    for item, score in zip(ids[name], json.loads(packed), strict=True)
                    if score is not None
                },
                json.loads(check["errors"][name]),
            )
            for name, packed in check["scores"].items()
        }
        return check["step"], cells, check["seconds"]

    return [unpacked(check) for check in state["checks"]], unpacked(state["good"])


def as_text(history: Sequence[Check], told: Sequence[str]) -> str:
    """What was found, as a table.

    Args:
        history: The checks.
        told: What the guard did, a sentence a line.
    """
    if not history:
        return "retention: nothing was asked yet"
    first, last = history[0], history[-1]
    rows = [("task", "step 0", f"step {last.step}", "change", "interval", "budget", "")]
    for name in first.cells:
        finding = last.findings.get(name)
        limits = finding.change.interval if finding is not None else None
        rows.append(
            (
                name,
                _number(first.score(name)),
                _number(last.score(name)),
                _number(finding.change.value, sign=True) if finding is not None else "",
                f"{limits.low:+.3f} to {limits.high:+.3f}" if limits is not None else "",
                "" if finding is None or finding.budget is None else f"{finding.budget:g}",
                "" if finding is None else _word(finding),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "  ".join(
            cell.ljust(width) if place in (0, 6) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    seconds = sum(check.seconds for check in history)
    asked = f"asked {len(history)} times in {seconds:.1f} s"
    return "\n".join([*table, "", asked, *told])


def _word(finding: Finding) -> str:
    if finding.budget is None:
        return "watched"
    if finding.broken:
        return "BROKEN"
    return "within budget" if finding.within else "not certain"


def _number(value: float | None, *, sign: bool = False) -> str:
    return "-" if value is None else f"{value:+.3f}" if sign else f"{value:.3f}"
