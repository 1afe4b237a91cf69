"""Each changed item is listed once, with what every arm answered before and after."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetless.metrics import find_flips
from forgetless.report import Report, analyse, read_run
from forgetless.report.changes import MOST_FALLS, SharedWords

from .fake_runs import FakeTask, write_run


def test_an_item_is_listed_for_all_arms_at_once(report: Report) -> None:
    found = {item.item: item for item in report.changes}
    first = found["medical-0077"]  # right in all arms after stage 1, kept by replay alone to 0074
    assert [(arm.title, arm.kind) for arm in first.arms] == [
        ("sequential", "lost"),
        ("replay", "lost"),
        ("ewc", "lost"),
    ]
    assert [arm.kind for arm in found["medical-0050"].arms] == ["lost", "right", "lost"]
    assert [arm.kind for arm in found["medical-0010"].arms] == ["lost", "right", "right"]


def test_the_listed_items_are_the_flips_of_metrics(report: Report) -> None:
    for arm in report.arms:
        for task, rows in (("medical", (1, 2)), ("general", (0, arm.run.matrix.last))):
            if rows[1] > arm.run.matrix.last or (task == "medical" and arm is report.joint):
                continue
            before, after = (arm.run.matrix.cell(row, task) for row in rows)
            flips = find_flips(before, after)
            for kind, ids in (("lost", flips.lost), ("gained", flips.gained)):
                listed = [
                    item.item
                    for item in report.changes
                    for change in item.arms
                    if item.task == task and change.title == arm.title and change.kind == kind
                ]
                assert sorted(listed) == sorted(ids)


def test_an_item_that_changed_in_no_arm_is_not_listed(report: Report) -> None:
    assert all(
        any(arm.kind in {"lost", "gained", "fell"} for arm in item.arms) for item in report.changes
    )
    assert "medical-0090" not in {item.item for item in report.changes}  # always wrong


def test_before_is_right_after_learning_and_after_is_the_end(tmp_path: Path) -> None:
    task = FakeTask("law", [0.0, 1.0, 1.0, 0.0], 1, items=3)
    report = analyse([read_run(write_run(tmp_path / "run", [task]))], draws=10)
    change = report.changes[0].arms[0]
    assert (change.before.score, change.after.score) == (1.0, 0.0)
    assert change.before.output == report.changes[0].gold


def test_the_lost_stand_before_the_gained(tmp_path: Path) -> None:
    # Right are items 3 to 7, then 6 to 9 and 0: the first in order is one that was gained.
    task = FakeTask("law", [0.0, 0.5, 0.5], 1, items=10, swaps=3)
    report = analyse([read_run(write_run(tmp_path / "run", [task]))], draws=10)
    assert [(item.item, item.arms[0].kind) for item in report.changes] == [
        ("law-0003", "lost"),
        ("law-0004", "lost"),
        ("law-0005", "lost"),
        ("law-0000", "gained"),
        ("law-0008", "gained"),
        ("law-0009", "gained"),
    ]


def test_a_crashed_item_is_neither_lost_nor_gained(tmp_path: Path) -> None:
    task = FakeTask("law", [0.0, 1.0, 0.5], 1, items=10, errors={2: 5})
    report = analyse([read_run(write_run(tmp_path / "run", [task]))], draws=10)
    assert {item.item for item in report.changes} == {f"law-000{i}" for i in range(5, 10)}


def test_of_graded_scores_the_largest_falls_are_listed(tmp_path: Path) -> None:
    task = FakeTask("prose", [-3.0, -1.0, -2.0], 1, items=88, unit="nats")
    report = analyse([read_run(write_run(tmp_path / "run", [task]))], draws=10)
    assert len(report.changes) == MOST_FALLS
    assert {item.arms[0].kind for item in report.changes} == {"fell"}


def test_words_that_all_prompts_share_are_left_out(report: Report) -> None:
    item = next(item for item in report.changes if item.task == "general")
    assert item.question.startswith("What is the capital of country ")
    assert item.question.endswith("?")
    shared = report.shared["general"]
    assert shared.head == "<|im_start|>user\n"
    assert shared.tail == "<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("prompts", "shared"),
    [
        (["a", "b"], SharedWords()),
        (["one\nsame", "one\nsame"], SharedWords()),
        (["x: 1\ny", "x: 2\ny"], SharedWords("", "\ny")),
        (["head\n1", "head\n12"], SharedWords("head\n", "")),
        (["head\n\ntail", "head\n3\ntail"], SharedWords("head\n", "")),
        ([], SharedWords()),
    ],
)
def test_shared_words_leave_every_prompt_something_of_its_own(
    prompts: list[str], shared: SharedWords
) -> None:
    assert SharedWords.of(prompts) == shared
    for prompt in prompts:
        assert shared.without(prompt)


def test_a_prompt_that_is_unlike_the_others_is_shown_whole() -> None:
    assert SharedWords("head\n", "\ntail").without("head\n") == "head\n"
