"""Whether a release may pass: one word over all tasks, for an exit code."""

from __future__ import annotations

from collections.abc import Sequence

from forgetless.auditing.result import GateStatus
from forgetless.metrics import TaskVerdict

TOO_LITTLE = "the model before has too little to lose"
"""It guesses, or where one cannot guess, next to nothing is right."""


def judge_gate(verdicts: Sequence[TaskVerdict]) -> tuple[GateStatus, str]:
    """Put the verdicts on all tasks into one.

    One failed task fails the audit, one lost task breaks the budget, one inconclusive task leaves
    it open.  A task at floor says nothing; if all are, nothing was shown.

    Returns:
        The status, and why in one sentence.
    """
    named = {
        word: [verdict.task for verdict in verdicts if verdict.verdict == word]
        for word in ("failed", "lost", "inconclusive", "at floor")
    }
    if named["failed"]:
        return "failed", f"too few answers on {_listed(named['failed'])}"
    if named["lost"]:
        return "broken", f"lost more than the budget on {_listed(named['lost'])}"
    if named["inconclusive"]:
        return "inconclusive", f"these items do not decide on {_listed(named['inconclusive'])}"
    if len(named["at floor"]) == len(verdicts):
        return "inconclusive", f"{TOO_LITTLE} on every task: none can show a loss"
    gained = [verdict.task for verdict in verdicts if verdict.rose_from_floor]
    at_floor = [task for task in named["at floor"] if task not in gained]
    kept = len(verdicts) - len(named["at floor"])
    tasks = "1 task" if kept == 1 else f"{kept} tasks"
    said = f"kept within the budget on {tasks}"
    if gained:
        said += f"; {_listed(gained)} gained and had nothing to lose"
    if at_floor:
        said += f"; {_listed(at_floor)} cannot show a loss ({TOO_LITTLE})"
    return "kept", said


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
