"""A disk that is full stops the work with a message; with room again it ends in the same files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.commands import commanded
from tests.faults.disks import fill, small_disk
from tests.faults.experiment import carried_out, contents, small_plan
from tests.faults.moments import in_child

pytestmark = pytest.mark.system


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    try:
        with small_disk(tmp_path / "disk") as folder:
            yield folder
    except PermissionError as reason:
        pytest.skip(str(reason))


def test_a_run_on_a_full_disk_says_so_and_ends_the_same_once_there_is_room(
    disk: Path, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = small_plan(small_data, disk / "run", ["ewc"])
    (tmp_path / "plan.yaml").write_text(plan.to_yaml())
    assert in_child(lambda: carried_out(plan)) == 0
    expected = contents(disk / "run")
    shutil.rmtree(disk / "run")
    # the lock; a checkpoint's weights; its optimiser's state
    for left in (0, 100_000, 700_000):
        ballast = fill(disk, left)
        assert in_child(commanded("run", "plan.yaml", "-q")) == 1
        assert (tmp_path / "err").read_text().splitlines()[-2:] == [
            f"error: {disk / 'run'}: the disk is full; everything finished before is kept",
            "  fix: free some space and run the same command again to continue",
        ]
        ballast.unlink()
        assert in_child(lambda: carried_out(plan)) == 0
        assert contents(disk / "run") == expected
        shutil.rmtree(disk / "run")


def test_a_report_that_has_no_room_says_so(
    disk: Path, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = small_plan(small_data, tmp_path / "run", training={"steps": 1})
    assert in_child(lambda: carried_out(plan)) == 0
    os.chdir(tmp_path)
    fill(disk, 0)
    assert in_child(commanded("report", "run", "--to", disk / "page")) == 1
    said = (tmp_path / "err").read_text()
    assert "the disk is full" in said
    assert "Traceback" not in said


def test_an_audit_whose_answers_have_no_room_says_so(
    disk: Path, tiny_model: Path, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(disk))
    fill(disk, 0)
    task = f"first={small_data / 'first_test.jsonl'}"
    asked = ("audit", tiny_model, tiny_model, "--task", task, "--output", "page")
    assert in_child(commanded(*asked)) == 1
    said = (tmp_path / "err").read_text()
    assert "the disk is full" in said
    assert "Traceback" not in said
