"""Runs stand side by side only if they can be compared, and what is doubtful is told."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from forgetless.errors import RunFolderError
from forgetless.metrics import average_accuracy, gap_closed, restrict_to_common_items, summarise
from forgetless.report import Report, analyse, read_run

from .fake_runs import FakeTask, write_run

LAW = FakeTask("law", [0.1, 0.8, 0.3], 1, items=10)
TAX = FakeTask("tax", [0.2, 0.2, 0.9], 2, items=10)


def pair(folder: Path, *tasks: FakeTask, **manifest: Any) -> Report:
    """Plain training beside another run."""
    one = write_run(folder / "plain", [LAW, TAX])
    two = write_run(folder / "other", tasks or [LAW, TAX], label="replay", manifest=manifest)
    return analyse([read_run(one), read_run(two)], draws=100)


def test_arms_are_sequential_first_and_joint_last(report: Report, arms: list[Path]) -> None:
    assert [arm.title for arm in report.arms] == ["sequential", "replay", "ewc", "joint"]
    shuffled = analyse([read_run(folder) for folder in reversed(arms)], draws=10)
    assert [arm.title for arm in shuffled.arms] == ["sequential", "ewc", "replay", "joint"]
    assert report.sequential is report.arms[0]
    assert report.joint is report.arms[3]
    assert report.sequences == report.arms[:3]


def test_figures_are_those_of_metrics(report: Report) -> None:
    joint = report.arms[3].run.matrix
    for arm in report.arms[:3]:
        assert arm.summary == summarise(arm.run.matrix, joint)
    assert report.arms[3].summary.average_accuracy == summarise(joint).average_accuracy


def test_the_joint_run_is_not_measured_against_itself(report: Report) -> None:
    figure = report.arms[3].summary.average_intransigence
    assert (figure.value, figure.reason) == (None, "it is the joint run itself")


def test_gap_closed_is_that_of_metrics_over_the_same_items(report: Report) -> None:
    plain, replay, ewc, joint = (arm.run.matrix for arm in report.arms)
    for arm, matrix in zip(report.arms[1:3], (replay, ewc), strict=True):
        common = restrict_to_common_items(matrix, plain, joint)
        assert arm.gap_closed.value == gap_closed(*common)
    assert report.arms[0].gap_closed.reason == "it is one of the two bounds"


def test_no_gap_is_closed_by_a_run_that_trains_other_tasks(tmp_path: Path) -> None:
    tested = dataclasses.replace(TAX, trained_in=None)
    both = [dataclasses.replace(task, trained_in=1, scores=[0.1, 0.9]) for task in (LAW, TAX)]
    folders = [
        write_run(tmp_path / "plain", [LAW, TAX]),
        write_run(tmp_path / "other", [LAW, tested], label="replay"),
        write_run(tmp_path / "joint", both, label="joint", stages=["base", "joint"]),
    ]
    other = next(
        arm for arm in analyse([read_run(f) for f in folders], draws=10).arms
        if arm.title == "replay"
    )  # fmt: skip
    assert other.gap_closed.value is None
    assert other.gap_closed.reason == (
        "the sequential run trains law, tax, the method law; needed the same tasks"
    )


def test_an_arm_is_set_against_sequential_item_by_item(report: Report) -> None:
    against = report.arms[1].against["medical"]
    assert against.final.value == pytest.approx(0.75)
    assert against.learned.value == pytest.approx(0.0)
    assert against.final.interval is not None
    assert against.final.interval.low > 0.6
    assert report.arms[0].against == {}


def test_arms_are_compared_over_the_items_that_both_have_scored(tmp_path: Path) -> None:
    # The first five items crash in the other run; they are among the right ones of both.
    law = dataclasses.replace(LAW, scores=[0.1, 0.8, 0.8], errors={2: 5})
    against = pair(tmp_path, law, TAX).arms[1].against["law"]
    # Of the items 5 to 9 plain training has none right at the end, the other run three.
    assert against.final.value == pytest.approx(3 / 5)


def test_every_score_has_its_interval(report: Report) -> None:
    for arm in report.arms:
        assert arm.scores.keys() == arm.intervals.keys()
        for place, value in arm.scores.items():
            assert arm.intervals[place].low <= value <= arm.intervals[place].high
        assert arm.summary.average_accuracy.value == average_accuracy(arm.run.matrix)


def test_the_same_runs_give_the_same_report(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [LAW, TAX])
    one, two = (analyse([read_run(folder)]) for _ in range(2))
    assert one.arms[0].summary == two.arms[0].summary
    assert one.arms[0].outcomes == two.arms[0].outcomes


def test_runs_of_other_tasks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="its tasks are law and poetry, those of"):
        pair(tmp_path, LAW, dataclasses.replace(TAX, name="poetry"))


def test_runs_with_other_units_are_refused(tmp_path: Path) -> None:
    nats = FakeTask("tax", [-3.0, -2.0, -1.0], 2, items=11, unit="nats")
    with pytest.raises(RunFolderError, match="task 'tax' is scored in nats"):
        pair(tmp_path, LAW, nats)


def test_arms_that_share_a_label_or_a_name_are_told_apart(tmp_path: Path) -> None:
    folders = [
        write_run(tmp_path / place / name, [LAW, TAX], label=label)
        for place, name, label in (
            ("one", "a", "replay"),
            ("one", "b", "ewc"),
            ("one", "c", "ewc"),
            ("one", "d", "lora"),
            ("two", "d", "lora"),
        )
    ]
    report = analyse([read_run(folder) for folder in folders], draws=10)
    assert [arm.title for arm in report.arms] == [
        "replay",
        "ewc (b)",
        "ewc (c)",
        f"lora ({folders[3]})",
        f"lora ({folders[4]})",
    ]


def test_a_run_named_twice_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [LAW, TAX])
    again = folder / ".." / "run"
    with pytest.raises(RunFolderError, match="named more than once"):
        analyse([read_run(folder), read_run(again)])


def test_no_run_at_all_is_refused() -> None:
    with pytest.raises(RunFolderError, match="no run folder was named"):
        analyse([])


def test_other_models_and_seeds_are_told(tmp_path: Path) -> None:
    model = {"name": "m", "parameters": 1, "dtype": "float32", "sha256": "00"}
    warnings = pair(tmp_path, seed=8, model=model).warnings
    assert "plain and other did not start from the same model; do not compare them" in warnings
    assert "plain and other ran with different seeds (7 and 8)" in warnings


def test_the_untouched_model_scored_otherwise_is_told(tmp_path: Path) -> None:
    tax = dataclasses.replace(TAX, scores=[0.4, 0.4, 0.9])
    assert pair(tmp_path, LAW, tax).warnings == (
        "plain and other score the untouched model differently; they should agree",
    )


def asking_otherwise(folder: Path, number: int) -> Path:
    """The run, with other questions under the ids of the first so many items of law."""
    for file in folder.glob("stages/*/scores.jsonl"):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        for line in lines:
            if line["item"] in [f"law-{i:04d}" for i in range(number)]:
                line["prompt"] = "What else?"
        file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


@pytest.mark.parametrize(("number", "final", "learned"), [(5, 3 / 5, 0.0), (10, None, None)])
def test_items_that_only_share_their_id_are_not_compared(
    number: int, final: float | None, learned: float | None, tmp_path: Path
) -> None:
    """Of the items 5 to 9 plain training has none right at the end, the other run three."""
    law = dataclasses.replace(LAW, scores=[0.1, 0.8, 0.8], extra={"test_sha256": "bb" * 32})
    both = [dataclasses.replace(t, trained_in=1, scores=[0.1, 0.9]) for t in (LAW, TAX)]
    folders = [
        write_run(tmp_path / "plain", [LAW, TAX]),
        asking_otherwise(write_run(tmp_path / "other", [law, TAX], label="replay"), number),
        write_run(tmp_path / "joint", both, label="joint", stages=["base", "joint"]),
    ]
    report = analyse([read_run(folder) for folder in folders], draws=50)
    arm = report.arms[1]
    assert arm.against["law"].final.value == (None if final is None else pytest.approx(final))
    assert arm.against["law"].learned.value == learned
    assert arm.against["tax"].final.value == 0
    if final is None:
        assert "it asks something else in other" in str(arm.against["law"].final.reason)
    intransigence = arm.summary.task("law").intransigence.value
    assert intransigence == (None if final is None else pytest.approx(4 / 5 - 3 / 5))
    assert (arm.gap_closed.value is None) == (final is None)
    assert arm.summary.task("law").final == report.arms[0].summary.task("law").learned
    (item,) = [one for one in report.changes if one.item == "law-0004"]
    assert [change.title for change in item.arms] == ["sequential"]


def test_items_of_one_hash_are_compared_however_their_prompts_are_written(tmp_path: Path) -> None:
    """As by a template that writes the date of the day."""
    law = dataclasses.replace(LAW, extra={"test_sha256": "ab" * 32})
    kept = dataclasses.replace(law, scores=[0.1, 0.8, 0.8])
    plain = write_run(tmp_path / "plain", [law, TAX])
    other = asking_otherwise(write_run(tmp_path / "other", [kept, TAX], label="replay"), 10)
    report = analyse([read_run(plain), read_run(other)], draws=50)
    assert report.arms[1].against["law"].final.value == pytest.approx(0.5)
    assert not any("test items" in text for text in report.warnings)
    (item,) = [one for one in report.changes if one.item == "law-0004"]
    assert [change.title for change in item.arms] == ["sequential", "replay"]


def test_other_rows_and_items_are_told(tmp_path: Path) -> None:
    one, two = ({"train_sha256": sign * 64, "test_sha256": sign * 64} for sign in "ab")
    law, tax = (dataclasses.replace(task, extra=one) for task in (LAW, TAX))
    other = dataclasses.replace(law, extra=two)
    unknown = dataclasses.replace(law, extra=one | {"test_sha256": None})
    folders = [
        write_run(tmp_path / "plain", [law, tax]),
        write_run(tmp_path / "other", [other, tax], label="replay"),
        asking_otherwise(write_run(tmp_path / "third", [unknown, tax], label="ewc"), 1),
    ]
    assert analyse([read_run(folder) for folder in folders], draws=10).warnings == (
        "plain and other learned law from different rows",
        "plain and other have different test items of law: only those that ask the same are "
        "compared",
        "plain and third have different test items of law: only those that ask the same are "
        "compared",
    )


def test_a_crash_in_one_arm_is_not_another_score_of_the_untouched_model(tmp_path: Path) -> None:
    law = dataclasses.replace(LAW, errors={0: 3})
    assert not any("untouched" in text for text in pair(tmp_path, law, TAX).warnings)


def test_another_order_of_tasks_is_told(tmp_path: Path) -> None:
    law = dataclasses.replace(LAW, trained_in=2)
    tax = dataclasses.replace(TAX, trained_in=1)
    assert (
        "plain and other trained the tasks in a different order"
        in pair(tmp_path, law, tax).warnings
    )


def test_a_warning_of_several_runs_is_told_once(report: Report) -> None:
    (warning,) = report.warnings
    assert warning.startswith("plain, replay and ewc: task 'general': 3 answers could not be")


def test_what_a_run_and_its_tasks_warn_of_is_told(tmp_path: Path) -> None:
    law = dataclasses.replace(LAW, extra={"warnings": ["7 rows were cut"]})
    folder = write_run(tmp_path / "run", [law, TAX], done=2, manifest={"warnings": ["hot"]})
    assert analyse([read_run(folder)], draws=10).warnings == (
        "the run is not finished, 2 of 3 stages are done",
        "hot",
        "task 'law': 7 rows were cut",
    )
