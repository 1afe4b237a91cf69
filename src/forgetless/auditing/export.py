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
        The results file of each model, the one before first.
    """
    made = datetime.fromisoformat(audit.created)
    return [
        export_lm_eval(
            folder / subject.label.replace("/", "-"),
            subject.name,
            list(_answered(audit, subject.label)),
            made,
        )
        for subject in audit.subjects
    ]


def _answered(audit: Audit, label: str) -> Iterator[AnsweredTask]:
    for task in audit.tasks:
        items = [item for item in audit.items if item.task == task.name]
        yield AnsweredTask(
            name=task.name,
            scorer=task.scorer,
            items=[_result(item, label) for item in items],
            conditions=task.conditions,
            description=task.description,
            levels={item.item: item.level for item in items if item.level},
        )


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
        group=item.group,
    )
