"""What an audit exports comes to the same verdicts when it is read again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from forgetless.auditing.audit import audit
from forgetless.auditing.export import export_audit
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


def test_a_task_without_any_score_is_left_out(damage: Damage, tmp_path: Path) -> None:
    found = run(damage, null_ways=0)
    silent = replace(
        found, items=tuple(replace(i, scores={}, errors={"after": "HTTP 500"}) for i in found.items)
    )
    assert export_audit(silent, tmp_path) == []
    assert not list(tmp_path.iterdir())
