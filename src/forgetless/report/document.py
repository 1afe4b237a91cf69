"""The report as JSON: everything that the other forms show, and what they leave out.

Format 1::

    format           1; raised when a field changes its meaning or goes
    verdict          sentences (two), tone
    level            confidence level of every interval
    warnings         what to know before trusting the numbers
    tasks            as in manifest.json; shared_words: what all prompts begin and end with
    arms             one per run, sequential first, joint last:
      title, role    role: sequential, joint or protected
      run            folder, name, label, state, model, seed, created, finished, versions, machine,
                     plan_sha256, stages (as in manifest.json)
      matrix         stages, tasks, scores, intervals, n, errors (each T+1 by T'), excluded, missing
      figures        average_accuracy ... gap_closed: value, interval, reason
      tasks          by name: base, learned, best_earlier, final, forgetting, change, intransigence,
                     before, gain, start, loss (figures); learning, fate; judged: what the fate
                     rests on, as a task of an audit's JSON; null if the fate is absent
      against_sequential  by task: final and learned, this arm less the sequential one (figures)
      answers        per stage: question, answer
    changes          every item that some arm lost or gained: task, item, question, gold, choices,
                     arms (title, kind, before, after: output, answer, score, error)
    readings         task, name, arm, used, base, learned, final

A figure is ``{"value", "interval", "reason"}``; an interval ``{"low", "high", "level", "method"}``.
What was not measured is null, with the reason beside it; never 0 and never NaN.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from forgetless.metrics import Interval
from forgetless.report.analysis import Arm, Report
from forgetless.report.changes import ChangedItem
from forgetless.report.data import ItemScore, RunResults
from forgetless.report.figures import FIGURES
from forgetless.report.outcome import TaskOutcome
from forgetless.report.readings import other_readings
from forgetless.report.verdict import Verdict

FORMAT = 1


def report_document(report: Report, verdict: Verdict) -> dict[str, Any]:
    """The report as plain JSON values.

    Args:
        report: Everything computed from the runs.
        verdict: Its two sentences.
    """
    return {
        "format": FORMAT,
        "verdict": {"sentences": list(verdict.sentences), "tone": verdict.tone},
        "level": report.level,
        "warnings": list(report.warnings),
        "tasks": [
            {**asdict(task), "shared_words": asdict(report.shared[task.name])}
            for task in report.tasks
        ],
        "arms": [_arm(arm) for arm in report.arms],
        "changes": [_change(item) for item in report.changes],
        "readings": [asdict(reading) for reading in other_readings(report)],
    }


def render_json(report: Report, verdict: Verdict) -> str:
    """The report as the text of a JSON file; one that any JSON reader accepts."""
    document = report_document(report, verdict)
    # ASCII only: a lone surrogate in a model's output has no other way into a file.
    return json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _arm(arm: Arm) -> dict[str, Any]:
    run = arm.run
    return {
        "title": arm.title,
        "role": _role(run),
        "run": {
            "folder": str(run.folder),
            "name": run.name,
            "label": run.label,
            "state": run.state,
            "model": asdict(run.model),
            "seed": run.seed,
            "created": run.created,
            "finished": run.finished,
            "versions": dict(run.versions),
            "machine": dict(run.machine),
            "plan_sha256": run.plan_sha256,
            "stages": [asdict(stage) for stage in run.stages],
        },
        "matrix": _matrix(arm),
        "figures": {kind.key: asdict(kind.of(arm)) for kind in FIGURES},
        "tasks": {outcome.task.name: _outcome(outcome) for outcome in arm.outcomes},
        "against_sequential": {task: asdict(pair) for task, pair in arm.against.items()},
        "budget": arm.budget.to_json() if arm.budget else None,
        "answers": [[asdict(answer) for answer in answers] for answers in run.answers],
    }


def _role(run: RunResults) -> str:
    if run.is_joint:
        return "joint"
    return "sequential" if run.is_sequential else "protected"


def _matrix(arm: Arm) -> dict[str, Any]:
    matrix = arm.run.matrix
    names = [task.name for task in matrix.tasks]
    places = [[(row, name) for name in names] for row in range(len(matrix.stages))]
    missing: dict[str, dict[str, str]] = {}
    for (row, name), reason in sorted(matrix.missing.items()):
        missing.setdefault(name, {})[str(row)] = reason
    return {
        "stages": list(matrix.stages),
        "tasks": names,
        "scores": [[arm.scores.get(place) for place in line] for line in places],
        "intervals": [[_interval(arm.intervals.get(place)) for place in line] for line in places],
        "n": [
            [matrix.item_count(name) if (row, name) in arm.scores else 0 for row, name in line]
            for line in places
        ],
        "errors": [[_errors(arm, row, name) for row, name in line] for line in places],
        "excluded": {name: matrix.excluded_items(name) for name in names},
        "missing": missing,
    }


def _errors(arm: Arm, row: int, task: str) -> int:
    return sum(item.error is not None for item in arm.run.scores[row] or () if item.task == task)


def _interval(limits: Interval | None) -> dict[str, float | str] | None:
    return None if limits is None else limits.to_json()


def _outcome(outcome: TaskOutcome) -> dict[str, Any]:
    summary = asdict(outcome.summary)
    own = asdict(outcome)
    for name in ("task", "summary"):
        del own[name]
    del summary["name"]
    return {**summary, **own}


def _change(item: ChangedItem) -> dict[str, Any]:
    return {
        "task": item.task,
        "item": item.item,
        "question": item.question,
        "gold": item.gold,
        "choices": None if item.choices is None else list(item.choices),
        "arms": [
            {
                "title": arm.title,
                "kind": arm.kind,
                "before": _answer(arm.before),
                "after": _answer(arm.after),
            }
            for arm in item.arms
        ],
    }


def _answer(item: ItemScore) -> dict[str, Any]:
    return {
        "output": item.output,
        "answer": item.answer,
        "score": item.score,
        "error": item.error,
    }
