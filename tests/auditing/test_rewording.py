"""The same items asked in another way."""

from __future__ import annotations

from pathlib import Path

from forgetless.auditing.rewording import other_way
from forgetless.plan import TaskConfig
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task, load_task
from tests.tiny import write_rows
from tests.training.build import exchange, make_task


def by_letter(folder: Path) -> Task:
    rows = [
        {"question": f"Fruit {n}?", "choices": ["tin", "fig", "iron", f"nut{n}"], "answer": "fig"}
        for n in range(20)
    ]
    file = write_rows(folder / "fruit.jsonl", rows)
    return load_task(TaskConfig(test=str(file), choose_by="letter"))


def test_choices_by_letter_are_permuted_and_the_gold_moves(tmp_path: Path) -> None:
    task = by_letter(tmp_path)
    found = other_way(task, 0, seed=0)
    assert found is not None
    turned, how = found
    assert how == "choices permuted"
    for old, new in zip(task.test, turned.test, strict=True):
        listed = [line[3:] for line in new.prompt[-1].content.splitlines()[1:5]]
        assert sorted(listed) == sorted(["tin", "fig", "iron", f"nut{old.id}"])
        assert listed["ABCD".index(new.answer)] == "fig"
        assert new.answer != old.answer
        assert new.id == old.id


def test_another_way_or_seed_permutes_otherwise(tmp_path: Path) -> None:
    task = by_letter(tmp_path)
    drawn = []
    for way, seed in ((0, 0), (1, 0), (0, 1), (0, 0)):
        found = other_way(task, way, seed)
        assert found is not None
        drawn.append([row.prompt[-1].content for row in found[0].test])
    assert drawn[0] == drawn[3]
    assert drawn[0] != drawn[1] != drawn[2] != drawn[0]


def test_a_question_gets_another_frame_and_keeps_its_text_and_gold() -> None:
    task = make_task("t", (), [exchange("1", "Which {colour}?", "red")])
    found = other_way(task, 0, seed=0)
    assert found is not None
    (row,) = found[0].test
    assert row.prompt[-1].content == "Question: Which {colour}?"
    assert (row.id, row.answer) == ("1", "red")
    assert found[1] == "wording changed"


def test_a_sentence_to_complete_still_ends_as_it_did() -> None:
    task = make_task("t", (), [exchange("1", "The capital of Peru is", "Lima")], render="plain")
    for way in range(5):
        found = other_way(task, way, seed=0)
        assert found is not None
        assert found[0].test[0].prompt[-1].content.endswith("The capital of Peru is")


def test_plain_text_cannot_be_asked_otherwise() -> None:
    task = make_task("t", (), [Row("1", (), "Some text.")], score="nll")
    assert other_way(task, 0, seed=0) is None
