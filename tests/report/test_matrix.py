"""The matrix counts only what every stage scored, and says what it left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scipy.stats import binomtest

from forgetless.metrics import cell_intervals
from forgetless.report import read_run

from .fake_runs import FakeTask, write_run


def test_a_crash_is_left_out_of_every_stage_and_told(tmp_path: Path) -> None:
    # Items 0 to 4 crash after stage 2; of the other five, all are right after stage 1.
    task = FakeTask("law", [0.0, 1.0, 1.0], 1, items=10, errors={2: 5})
    run = read_run(write_run(tmp_path / "run", [task]))
    assert run.matrix.item_count("law") == 5
    assert run.matrix.values == [[0.0], [1.0], [1.0]]
    assert run.warnings == (
        "task 'law': 5 answers could not be scored after stage 2 (the first: CUDA out of memory); "
        "all its scores leave out 5 items",
    )


def test_crashes_in_several_stages_are_counted_together(tmp_path: Path) -> None:
    task = FakeTask("law", [0.0, 1.0, 1.0], 1, items=10, errors={1: 1, 2: 3})
    (warning,) = read_run(write_run(tmp_path / "run", [task])).warnings
    assert "4 answers could not be scored, 3 of them after stage 2" in warning


def test_a_task_that_a_stage_did_not_score_is_absent_with_the_reason(tmp_path: Path) -> None:
    tasks = [FakeTask("law", [0.1, 0.5], 1, items=10), FakeTask("general", [0.5, None], items=10)]
    run = read_run(write_run(tmp_path / "run", tasks))
    assert run.matrix.values == [[0.1, 0.5], [0.5, None]]
    assert run.matrix.missing[1, "general"] == "stage '1-law' scored no item of it"


def test_items_that_a_stage_lacks_are_told(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [FakeTask("law", [0.0, 1.0], 1, items=10)])
    path = folder / "stages" / "1-law" / "scores.jsonl"
    path.write_text("".join(f"{line}\n" for line in path.read_text().splitlines()[:8]))
    run = read_run(folder)
    assert run.matrix.item_count("law") == 8
    assert run.warnings == (
        "task 'law': the results of some stages lack 2 items, which all its scores leave out",
        "task 'law': 8 items are in the results of stage 1, the run announced 10",
    )


def test_items_of_one_passage_are_drawn_together(tmp_path: Path) -> None:
    """40 of 100 items right, whole passages of ten: the limits of 4 in 10."""
    tasks = [FakeTask("law", [0.4, 1.0], 1, items=100)]
    alone = read_run(write_run(tmp_path / "alone", tasks))
    folder = write_run(tmp_path / "grouped", tasks)
    for path in sorted(folder.glob("stages/*/scores.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        if path.parent.name.startswith("0"):
            asked = [line["item"] for line in sorted(lines, key=lambda line: line["score"])]
        for line in lines:
            line["group"] = f"passage {asked.index(line['item']) // 10}"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    grouped = read_run(folder)
    limits = cell_intervals(grouped.matrix)[0, "law"]
    exact = binomtest(4, 10).proportion_ci(0.95, "exact")
    assert (limits.low, limits.high) == pytest.approx((exact.low, exact.high))
    assert cell_intervals(alone.matrix)[0, "law"].low > limits.low
