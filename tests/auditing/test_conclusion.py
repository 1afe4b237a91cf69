"""From answers to verdicts, areas and the gate; no model is needed."""

from __future__ import annotations

from types import MappingProxyType

from forgetless.auditing.columns import Column
from forgetless.auditing.conclusion import conclude
from forgetless.auditing.config import AuditConfig
from forgetless.auditing.result import NOTHING_SPENT, AuditTask, SubjectInfo
from forgetless.auditing.tasks import AskedTask
from forgetless.evaluation.result import ItemResult

AREA = "general ability"


def answered(task: str, right: int, missing: int = 0) -> dict[str, ItemResult]:
    """Forty items: the first so many right, the last so many without an answer."""
    found = {}
    for number in range(40):
        score = None if number >= 40 - missing else float(number < right)
        error = "no answer" if score is None else None
        found[str(number)] = ItemResult(
            task, str(number), "", "a", None, output="a", score=score, error=error
        )
    return found


def column(label: str, **answers: dict[str, ItemResult]) -> Column:
    return Column(
        SubjectInfo(label, label, "object", label), MappingProxyType(answers), NOTHING_SPENT
    )


def test_a_task_that_failed_is_no_part_of_its_area() -> None:
    tasks = [
        AskedTask(AuditTask(name, "accuracy", "exact_match", 40, area=AREA))
        for name in ("sums", "facts")
    ]
    before = column("before", sums=answered("sums", 40), facts=answered("facts", 40, 20))
    after = column("after", sums=answered("sums", 30), facts=answered("facts", 0, 20))
    (found,) = conclude([before, after], tasks, AuditConfig()).comparisons
    assert [verdict.verdict for verdict in found.verdicts] == ["lost", "failed"]
    (area,) = found.areas
    assert area.tasks == ("sums",)
    assert area.change.value == -0.25
