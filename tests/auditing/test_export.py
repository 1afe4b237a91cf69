"""What an audit exports comes to the same verdicts when it is read again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from forgetless.auditing.audit import audit
from forgetless.auditing.columns import Column
from forgetless.auditing.conclusion import conclude
from forgetless.auditing.config import AuditConfig
from forgetless.auditing.export import export_audit
from forgetless.auditing.result import NOTHING_SPENT, Audit, AuditTask, SubjectInfo
from forgetless.auditing.tasks import AskedTask
from forgetless.evaluation.result import ItemResult
from tests.auditing.conftest import Damage
from tests.auditing.test_audit import run


def test_an_exported_audit_reads_as_the_same_loss(damage: Damage, tmp_path: Path) -> None:
    found = run(damage, str(damage.before), str(damage.after), null_ways=0)
    files = export_audit(found, tmp_path)
    assert len(files) == 3
    folders = [str(tmp_path / subject.label.replace("/", "-")) for subject in found.subjects]
    again = audit(*folders)
    own = [comparison.verdicts[0] for comparison in found.comparisons]
    read = [comparison.verdicts[0] for comparison in again.comparisons]
    assert [v.verdict for v in read] == [v.verdict for v in own]
    assert [v.change.value for v in read] == [v.change.value for v in own] == [0, -1]
    assert again.gate == found.gate


def judged(
    task: AskedTask, before: Callable[[int], float | None], after: Callable[[int], float | None]
) -> Audit:
    """An audit of a task whose items are numbered; a score of None is no answer."""
    name = task.info.name

    def answer(number: int, score: float | None) -> ItemResult:
        told = ItemResult(name, str(number), f"{number}?", "a", ("a", "b") if task.chance else None)
        if score is None:
            return replace(told, error="HTTP 500")
        return replace(told, output="a", answer="a", score=score)

    columns = [
        Column(
            SubjectInfo(label, label, "object", label),
            {name: {str(n): answer(n, score(n)) for n in range(task.info.items)}},
            NOTHING_SPENT,
        )
        for label, score in (("before", before), ("after", after))
    ]
    return conclude(columns, [task], AuditConfig())


def read_again(found: Audit, folder: Path) -> Audit:
    export_audit(found, folder)
    return audit(str(folder / "before"), str(folder / "after"))


def all_right(_: int) -> float:
    return 1.0


def outcome(found: Audit) -> tuple[object, ...]:
    (verdict,) = found.comparisons[0].verdicts
    return (
        verdict.verdict,
        verdict.p_value,
        verdict.change.value,
        found.gate,
        found.comparisons[0].reason,
    )


def test_groups_outlive_the_export(tmp_path: Path) -> None:
    """Three of ten passages are lost whole: no more than three changes, though they are 90."""
    info = AuditTask("t", "accuracy", "exact_match", 300)
    task = AskedTask(info, groups={str(n): f"passage {n % 10}" for n in range(300)})
    found = judged(task, all_right, lambda n: float(n % 10 > 2))
    assert found.comparisons[0].verdicts[0].p_value == 0.25
    assert outcome(read_again(found, tmp_path)) == outcome(found)


def test_levels_outlive_the_export(tmp_path: Path) -> None:
    """The easy items were known and are lost; as a whole the task looks guessed."""
    ids = [str(n) for n in range(200)]
    task = AskedTask(
        AuditTask("t", "accuracy", "multiple_choice", 200),
        chance=dict.fromkeys(ids, 0.5),
        parts={item: "easy" if int(item) < 30 else "hard" for item in ids},
    )
    found = judged(task, lambda n: float(n < 30 or n % 2), lambda n: float(n % 2))
    assert outcome(found)[0] == "lost"
    assert outcome(read_again(found, tmp_path)) == outcome(found)
    ungraded = judged(replace(task, parts={}), lambda n: float(n < 30 or n % 2), lambda n: n % 2)
    assert outcome(ungraded)[0] == "inconclusive"


@pytest.mark.parametrize("silent", ["before", "after"])
@pytest.mark.parametrize("share", [0.4, 1.0])
def test_what_failed_has_failed_in_its_export_too(
    silent: str, share: float, tmp_path: Path
) -> None:
    def answers(n: int) -> float | None:
        return 1.0 if n >= share * 40 else None

    task = AskedTask(AuditTask("t", "accuracy", "exact_match", 40))
    sides = (answers, all_right) if silent == "before" else (all_right, answers)
    found = judged(task, *sides)
    again = read_again(found, tmp_path)
    assert found.gate == "failed"
    assert outcome(again) == outcome(found)
