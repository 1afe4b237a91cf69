"""Two processes on one folder: the second is told who holds it."""

from __future__ import annotations

import json
import os
import platform
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from forgetless.errors import RunFolderError
from forgetless.locking import locked
from forgetless.sequence import run_sequence
from tests.faults.commands import commanded
from tests.faults.experiment import carried_out, contents, small_plan
from tests.faults.moments import hit_at, in_child

pytestmark = pytest.mark.system


@pytest.mark.parametrize("command", ["run", "compare"])
def test_a_command_on_a_folder_in_use_is_refused_and_says_by_whom(
    command: str,
    small_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = small_plan(small_data, tmp_path / "work")
    (tmp_path / "plan.yaml").write_text(plan.to_yaml())
    held = tmp_path / "work" / ("runs" if command == "compare" else "")
    held.mkdir(parents=True)
    with locked(held, "elsewhere"):
        code = in_child(commanded(command, "plan.yaml", "-q"))
    said = (tmp_path / "err").read_text()
    assert code == 2, said
    holder = f"process {os.getpid()} on {platform.node()} since "
    assert said.startswith(f"error: {held}: in use by {holder}")
    assert "wait for it, stop it, or name another folder" in said


def test_a_run_under_way_refuses_another_and_is_not_disturbed(
    small_data: Path, tmp_path: Path
) -> None:
    plan = small_plan(small_data, tmp_path / "run")
    run_sequence(plan)
    expected = contents(tmp_path / "run")
    other = small_plan(small_data, tmp_path / "other")

    def tried() -> None:
        with pytest.raises(RunFolderError, match=f"in use by process {os.getpid()} on "):
            run_sequence(other)

    def work(watch: object) -> None:
        run_sequence(other, watch)  # type: ignore[arg-type]

    assert hit_at(200, tmp_path / "other", work, tried) == 0
    found = contents(tmp_path / "other")
    differ = {name for name in expected if found[name] != expected[name]}
    assert differ <= {"plan.yaml", "manifest.json"}  # where it is, and its name


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    def held(hit: Callable[[], None]) -> None:
        with locked(tmp_path, "elsewhere"):
            hit()

    assert in_child(lambda: held(lambda: os.kill(os.getpid(), signal.SIGKILL))) == -signal.SIGKILL
    left = json.loads((tmp_path / ".lock.json").read_text())
    assert left["pid"] != os.getpid()
    held(lambda: None)
    assert not (tmp_path / ".lock.json").exists()


def test_a_process_that_is_killed_lets_another_go_on(small_data: Path, tmp_path: Path) -> None:
    plan = small_plan(small_data, tmp_path / "run", training={"steps": 1})
    killed = hit_at(60, tmp_path / "run", lambda watch: carried_out(plan, watch))
    assert killed == -signal.SIGKILL
    carried_out(plan)
    assert not (tmp_path / "run" / ".lock.json").exists()
