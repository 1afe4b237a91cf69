"""An audit's answers in the layout of lm-evaluation-harness, a folder for each model."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from forgetless.auditing.result import AnsweredItem, Audit
from forgetless.evaluation.result import ItemResult
from forgetless.exchange.lm_eval_export import AnsweredTask, export_lm_eval


def export_audit(audit: Audit, folder: Path) -> list[Path]:
    """Write what every model answered; ``forgetless audit`` reads it again.

    Args:
        audit: What was found.
        folder: Gets a folder for each model, named by its label.

    Returns:
        The results file of each model, the one before first.  A task of which no item has a score
        is left out, and a model that has no task at all.
    """
    made = datetime.fromisoformat(audit.created)
    written = []
    for subject in audit.subjects:
        tasks = list(_answered(audit, subject.label))
        if tasks:
            place = folder / subject.label.replace("/", "-")
            written.append(export_lm_eval(place, subject.name, tasks, made))
    return written


def _answered(audit: Audit, label: str) -> Iterator[AnsweredTask]:
    for task in audit.tasks:
        items = [_result(item, label) for item in audit.items if item.task == task.name]
        if any(item.score is not None for item in items):
            yield AnsweredTask(task.name, task.scorer, items, task.conditions, task.description)


def _result(item: AnsweredItem, label: str) -> ItemResult:
    output = item.outputs.get(label)
    return ItemResult(
        task=item.task,
        item=item.item,
        prompt=item.prompt,
        gold=item.gold,
        choices=item.choices,
        output=output,
        answer=output,
        score=item.scores.get(label),
        error=item.errors.get(label),
    )
