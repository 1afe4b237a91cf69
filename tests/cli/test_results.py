"""What stands below the report of a run in the terminal."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from forgetless.cli.results import beside
from forgetless.plan import load_plan, make_plan
from tests.cli.conftest import Forgetless
from tests.report.fake_runs import FakeTask, write_arms, write_run


@pytest.mark.parametrize(
    ("sequential", "methods", "output"),
    [(False, [], "a run-plain"), (True, ["auto"], "a run-protected")],
)
def test_the_run_to_stand_beside_another_is_the_same_plan_with_or_without_protection(
    tmp_path: Path, sequential: bool, methods: list[str], output: str
) -> None:
    folder = tmp_path / "a run"
    folder.mkdir()
    plan = make_plan({"model": "m", "sequence": ["a.jsonl"], "output": str(folder)})
    (folder / "plan.yaml").write_text(plan.to_yaml())
    _, _, told = beside(folder, sequential).partition(": ")
    program, run, file, *rest = shlex.split(told)
    assert (program, run, rest[-2:]) == ("forgetless", "run", ["--share-with", str(folder)])
    changed = load_plan(Path(file), [word for word in rest[:-2] if word != "--set"])
    assert [spec.name for spec in changed.methods] == methods
    assert Path(changed.output) == tmp_path / output


def test_a_run_that_stands_alone_is_told_what_to_type_and_two_are_not(
    forgetless: Forgetless, tmp_path: Path
) -> None:
    tasks = [FakeTask("law", [0.1, 0.8, 0.2], 1), FakeTask("tax", [0.1, 0.1, 0.7], 2)]
    told = "to see what protection does: forgetless run"
    alone = write_run(tmp_path / "alone", tasks)
    assert told in forgetless("report", alone).out
    arms = write_arms(tmp_path / "both")
    assert told not in forgetless("report", *arms).out
