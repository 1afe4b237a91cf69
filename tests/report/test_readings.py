"""Strict and lenient readings stand beside each other, over the same items."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetless.report import Report, analyse, read_run
from forgetless.report.readings import other_readings

from .fake_runs import FakeTask, write_run


def test_every_reading_of_a_task_is_told_and_the_used_one_marked(report: Report) -> None:
    found = [r for r in other_readings(report) if r.task == "medical" and r.arm == "sequential"]
    assert [(reading.name, reading.used) for reading in found] == [
        ("exact_match", True),
        ("contains", False),
    ]
    strict, lenient = found
    outcome = report.arms[0].outcome("medical")
    assert strict.base == pytest.approx(outcome.summary.base.value)
    assert strict.learned == pytest.approx(outcome.summary.learned.value)
    assert strict.final == pytest.approx(outcome.summary.final.value)
    assert lenient.final == pytest.approx(0.15)  # every seventh item of 100


def test_readings_count_the_items_that_the_score_counts(report: Report) -> None:
    found = [r for r in other_readings(report) if r.task == "general" and r.used]
    for reading, arm in zip(found, report.arms, strict=True):
        assert reading.final == pytest.approx(arm.outcome("general").summary.final.value)
        assert reading.learned is None


def test_one_reading_needs_no_table(tmp_path: Path) -> None:
    task = FakeTask("prose", [-2.0, -1.0], 1, items=11, unit="nats")
    assert other_readings(analyse([read_run(write_run(tmp_path / "run", [task]))])) == []
