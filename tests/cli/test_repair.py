"""``forgetless repair`` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.auditing.conftest import Damage, damage  # noqa: F401
from tests.cli.conftest import Forgetless
from tests.tiny import write_rows

pytestmark = pytest.mark.system


def test_a_rollback_is_not_called_a_repair(
    forgetless: Forgetless,
    damage: Damage,  # noqa: F811
    tmp_path: Path,
) -> None:
    code, out, err = forgetless(
        *("repair", str(damage.before), str(damage.after), "--task", str(damage.items)),
        *("-o", str(tmp_path / "repaired"), "--device", "cpu", "-q"),
    )
    assert (code, err) == (3, "")
    assert "No repair (exit code 3)" in out
    assert out.endswith(f"\nreport: {tmp_path / 'repaired' / 'repair.json'}\n")
    assert "If it was tuned for a task that is not here, name that as well" in out
    found = json.loads((tmp_path / "repaired" / "repair.json").read_text())
    assert (found["status"], found["exit_code"], found["model"]) == ("no point", 3, "")
    assert [file.name for file in (tmp_path / "repaired").iterdir()] == ["repair.json"]
    code, _, err = forgetless(
        *("repair", str(damage.before), str(damage.after), "--task", str(damage.items)),
        *("-o", str(tmp_path / "repaired"), "--device", "cpu", "-q", "--budget", "9%"),
    )
    assert code == 2
    assert "repaired: holds repair.json already" in err
    assert f"--output {tmp_path / 'repaired'}-2" in err
    assert json.loads((tmp_path / "repaired" / "repair.json").read_text()) == found


def test_columns_of_other_names_are_found(
    forgetless: Forgetless,
    damage: Damage,  # noqa: F811
    tmp_path: Path,
) -> None:
    rows = [json.loads(line) for line in damage.items.read_text().splitlines()]
    renamed = [{"frage": row["prompt"], "antwort": row["completion"]} for row in rows]
    german = write_rows(tmp_path / "german.jsonl", renamed)
    code, _, err = forgetless(
        *("repair", damage.before, damage.after, "--task", german, "-q", "--device", "cpu"),
        *("--fields", "prompt=frage,completion=antwort", "-o", tmp_path / "repaired"),
    )
    assert (code, err) == (3, "")


def test_models_that_are_no_two_states_of_one_are_refused(
    forgetless: Forgetless,
    damage: Damage,  # noqa: F811
    tmp_path: Path,
) -> None:
    output = tmp_path / "never"
    code, _, err = forgetless(
        *("repair", str(damage.before), str(damage.before), "--task", str(damage.items)),
        *("-o", str(output), "-q"),
    )
    assert code == 2
    assert "there is nothing between them" in err
    assert not output.exists()


@pytest.mark.parametrize(
    ("budgets", "told"),
    [
        (["2%", "3%"], "--budget 2% and 3%: needed one for all tasks"),
        (["old=much"], "--budget much: needed a share such as 2% or 0.02"),
        (["200%"], "--budget 2.0: Input should be less than 1"),
        (["5%", "law=2%"], "there is a budget for task 'law'; the tasks are"),
    ],
)
def test_a_budget_that_cannot_be_meant_is_refused(
    forgetless: Forgetless,
    damage: Damage,  # noqa: F811
    tmp_path: Path,
    budgets: list[str],
    told: str,
) -> None:
    output = tmp_path / "never"
    asked = [word for budget in budgets for word in ("--budget", budget)]
    code, _, err = forgetless(
        *("repair", str(damage.before), str(damage.after), "--task", str(damage.items)),
        *(*asked, "-o", str(output), "-q"),
    )
    assert code == 2
    assert told in err
    assert not output.exists()
