"""What is finished is not done again: no item is asked twice of a model, no old state read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forgetless import preparation
from forgetless.evaluation.answers import SCORING
from forgetless.methods.compose import Compose
from forgetless.progress import Progress
from forgetless.sequence import run_sequence
from tests.counting import Counting
from tests.integration.conftest import MakePlan

pytestmark = pytest.mark.system


def test_a_task_more_scores_its_own_column_and_its_own_row_and_no_other_cell(
    plan: MakePlan,
) -> None:
    both = plan().sequence
    one = run_sequence(plan("one", sequence=both[:1]))
    watcher = Counting()
    grown = run_sequence(plan("grown"), watcher, share_with=[one.path])
    assert +watcher.items == {
        ("0-base", "second"): 4,
        ("1-first", "second"): 4,
        **{("2-second", task): 4 for task in ("first", "second")},
        ("2-second", "choices"): 6,
    }
    alone = run_sequence(plan("alone"))
    for stage in ("0-base", "1-first", "2-second"):
        scores = Path("stages") / stage / "scores.jsonl"
        assert (grown.path / scores).read_bytes() == (alone.path / scores).read_bytes()
    assert run_sequence(plan("grown"), again := Counting()).path == grown.path
    assert not +again.items


def test_only_the_task_that_is_asked_otherwise_is_scored_anew(plan: MakePlan, data: Path) -> None:
    def tasks(tokens: int) -> list[dict[str, Any]]:
        files = {"train": str(data / "first.jsonl"), "test": str(data / "first_test.jsonl")}
        return [{"name": "first", "max_new_tokens": tokens, **files}]

    short = run_sequence(plan("short", sequence=tasks(4)))
    watcher = Counting()
    longer = run_sequence(plan("longer", sequence=tasks(8)), watcher, share_with=[short.path])
    assert +watcher.items == {("0-base", "first"): 4, ("1-first", "first"): 4}
    alone = run_sequence(plan("alone", sequence=tasks(8)))
    assert longer.matrix.values == alone.matrix.values


def test_a_run_that_goes_on_where_answers_are_scored_otherwise_is_scored_anew(
    plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its later rows would be compared with what other rules gave."""
    first = run_sequence(plan("first"), before := Counting())
    monkeypatch.setattr(preparation, "SCORING", SCORING + 1)
    assert run_sequence(plan("first"), again := Counting()).path == first.path
    assert +again.items == +before.items
    shared = run_sequence(plan("shared"), taken := Counting(), share_with=[first.path])
    assert shared.matrix.values == first.matrix.values
    assert not +taken.items


def test_damaged_scores_of_another_run_are_not_taken_and_damaged_ones_of_this_not_kept(
    plan: MakePlan,
) -> None:
    plain = run_sequence(plan("plain"))
    whole = (plain.path / "stages" / "1-first" / "scores.jsonl").read_bytes()
    scores = plain.path / "stages" / "1-first" / "scores.jsonl"
    for name, changed in (("swapped", b'"score": 0.5'), ("torn", b"")):
        scores.write_bytes(whole.replace(b'"score": 0.0', changed, 1) if changed else whole[:-9])
        assert scores.read_bytes() != whole
        shared = run_sequence(plan(name), watcher := Counting(), share_with=[plain.path])
        assert {stage for stage, _ in +watcher.items} == {"1-first"}
        assert (shared.path / "stages" / "1-first" / "scores.jsonl").read_bytes() == whole
    run_sequence(plan("plain"), watcher := Counting())
    assert {stage for stage, _ in +watcher.items} == {"1-first"}
    assert scores.read_bytes() == whole


def test_scores_that_are_damaged_after_every_stage_are_all_made_again(plan: MakePlan) -> None:
    result = run_sequence(plan())
    files = sorted(result.path.glob("stages/*/scores.jsonl"))
    whole = [file.read_bytes() for file in files]
    for file in files:
        file.write_bytes(file.read_bytes()[:-9])
    run_sequence(plan())
    assert [file.read_bytes() for file in files] == whole


@pytest.mark.parametrize(
    ("file", "damage", "again"),
    [
        ("answers.jsonl", "torn", set()),
        ("answers.jsonl", "missing", set()),
        ("scores.jsonl", "missing", {"1-first"}),
    ],
)
def test_of_another_run_the_file_that_is_damaged_is_not_taken_and_no_other_is_written_anew(
    plan: MakePlan, file: str, damage: str, again: set[str]
) -> None:
    giver = run_sequence(plan("giver", ask=["what colour?"]))
    damaged = giver.path / "stages" / "1-first" / file
    whole = damaged.read_bytes()
    if damage == "torn":
        damaged.write_bytes(whole[:-9])
    else:
        damaged.unlink()
    settings = plan("taken", ask=["what colour?"])
    taken = run_sequence(settings, watcher := Counting(), share_with=[giver.path])
    assert {stage for stage, _ in +watcher.items} == again
    assert (taken.path / "stages" / "1-first" / file).read_bytes() == whole
    assert [len(answers) for answers in taken.results.answers] == [1, 1, 1]


def test_a_run_that_goes_on_reads_the_state_of_the_stage_it_goes_on_from_alone(
    plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(Progress):
        def stage(self, run: str, name: str, number: int, last: int) -> None:
            if number == 3:
                raise KeyboardInterrupt

    read: list[str] = []
    restore = Compose.restore

    def watched(self: Compose, folder: Path) -> None:
        read.append(folder.parent.name)
        restore(self, folder)

    first, second = plan().sequence
    three = [first, second, first.model_copy(update={"name": "third"})]
    with pytest.raises(KeyboardInterrupt):
        run_sequence(plan("run", sequence=three, methods=["ewc"]), Stop())
    monkeypatch.setattr(Compose, "restore", watched)
    went_on = run_sequence(plan("run", sequence=three, methods=["ewc"]))
    assert read == ["2-second"]
    whole = run_sequence(plan("whole", sequence=three, methods=["ewc"]))
    weights = [run.model_path() / "model.safetensors" for run in (went_on, whole)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
