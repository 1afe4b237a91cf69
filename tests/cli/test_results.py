"""What stands below the report of a run in the terminal."""

from __future__ import annotations

import json
import shlex
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from forgetless.cli.results import _one_line, beside, show_answers
from forgetless.plan import load_plan, make_plan
from forgetless.result import RunResult
from tests.cli.conftest import Forgetless
from tests.report.fake_runs import DIABETES, FakeTask, write_arms, write_run


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


def test_json_is_all_that_is_printed_of_a_report(forgetless: Forgetless, tmp_path: Path) -> None:
    plain, replay, *_ = write_arms(tmp_path)
    code, out, err = forgetless("report", plain, replay, "--to", tmp_path / "page", "--json")
    assert (code, err) == (0, "")
    assert out == (tmp_path / "page" / "report.json").read_text() + "\n"
    assert [arm["run"]["name"] for arm in json.loads(out)["arms"]] == ["plain", "replay"]


def test_answers_to_open_questions_stand_side_by_side_on_lines_of_their_own(
    tmp_path: Path,
) -> None:
    console = Console(file=StringIO(), width=100)
    runs = [RunResult(run) for run in write_arms(tmp_path)[:2]]
    show_answers(runs, console)
    assert isinstance(console.file, StringIO)
    question, *said = console.file.getvalue().strip().splitlines()
    assert question == DIABETES
    assert [line.strip() for line in said] == [
        "untouched: Too much sugar stays in the blood.",
        "plain: Consideration is a thing of value.",
        "replay: Thirst, tiredness, blurred vision.",
    ]


def test_an_answer_is_shown_on_one_line_without_what_drives_a_terminal() -> None:
    assert _one_line("two\n lines \x1b[31mred") == "two lines [31mred"
    assert _one_line("a" * 300) == "a" * 239 + "…"


def test_a_run_that_stands_alone_is_told_what_to_type_and_two_are_not(
    forgetless: Forgetless, tmp_path: Path
) -> None:
    tasks = [FakeTask("law", [0.1, 0.8, 0.2], 1), FakeTask("tax", [0.1, 0.1, 0.7], 2)]
    told = "to see what protection does: forgetless run"
    alone = write_run(tmp_path / "alone", tasks)
    assert told in forgetless("report", alone).out
    arms = write_arms(tmp_path / "both")
    assert told not in forgetless("report", *arms).out


def test_the_run_beside_one_lies_beside_it_from_wherever_its_plan_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("exp #1")
    folder.mkdir()
    (folder / "plan.yaml").write_text("model: m\nsequence: [a.jsonl]\n")
    words = shlex.split(beside(folder, sequential=False).partition(": ")[2])
    settings = [value for word, value in pairwise(words) if word == "--set"]
    assert load_plan(folder / "plan.yaml", settings).output == str(tmp_path / "exp #1-plain")
