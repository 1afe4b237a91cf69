"""Files that a kill or a failing disk left damaged are found by their hash, and said so."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from forgetless.plan import load_plan
from forgetless.sequence import run_sequence
from tests.counting import Counting
from tests.faults.commands import commanded
from tests.faults.damage import cut_in_half, flip_a_bit
from tests.faults.experiment import carried_out, contents, small_plan
from tests.faults.moments import hit_at, in_child, moments_of

pytestmark = pytest.mark.system


@dataclass(frozen=True)
class Killed:
    """A run that was killed, at two moments.

    Attributes:
        folder: Where its plan is, and where copies of it are continued.
        files: What it would have left.
        scoring: A copy, killed when all items were scored after stage 1.
        saving: A copy, killed when the model of stage 2 was to be saved.
    """

    folder: Path
    files: Mapping[str, str]
    scoring: Path
    saving: Path


@pytest.fixture(scope="module")
def killed(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Killed:
    folder = tmp_path_factory.mktemp("damage")
    plan = small_plan(small_data, folder / "run", ["ewc"])
    (folder / "plan.yaml").write_text(plan.to_yaml())
    seen = moments_of(folder / "run", lambda watch: carried_out(plan, watch))
    files = contents(folder / "run")
    copies: list[Path] = []
    for moment in (
        "open stages/1-first/.answers.jsonl.part",
        "open stages/2-second/.model.part/config.json",
    ):
        shutil.rmtree(folder / "run")
        at = len(seen) - seen[::-1].index(moment)
        hit_at(at, folder / "run", lambda watch: carried_out(plan, watch))
        copies.append(shutil.copytree(folder / "run", folder / f"copy {len(copies)}"))
    return Killed(folder, files, *copies)


@pytest.fixture
def run(killed: Killed, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the run, empty; the one that it is in is entered."""
    monkeypatch.chdir(killed.folder)
    shutil.rmtree(killed.folder / "run", ignore_errors=True)
    return killed.folder / "run"


def continued(killed: Killed) -> str:
    """What the command says that goes on; it must end in the same files."""
    assert in_child(commanded("run", "plan.yaml", "-q")) == 0
    found = contents(killed.folder / "run")
    assert {name: found[name] for name in killed.files} == killed.files
    return (killed.folder / "err").read_text() + (killed.folder / "out").read_text()


@pytest.mark.parametrize("damage", [flip_a_bit, cut_in_half])
def test_a_damaged_checkpoint_is_said_and_the_one_before_is_gone_on_from(
    damage: Callable[[Path], None], killed: Killed, run: Path
) -> None:
    shutil.copytree(killed.saving, run)
    damage(run / "stages" / "2-second" / "checkpoints" / "checkpoint-3" / "optimizer.pt")
    said = continued(killed)
    assert "checkpoints/checkpoint-3 is not used: optimizer.pt is damaged" in said
    assert "checkpoint-2" not in said


def test_a_torn_last_line_of_scores_is_scored_again_and_no_other(killed: Killed, run: Path) -> None:
    shutil.copytree(killed.scoring, run)
    log = run / "stages" / "1-first" / "scores.part-0.jsonl"
    log.write_bytes(log.read_bytes()[:-20])
    run_sequence(load_plan(Path("plan.yaml")), watcher := Counting())
    again = {task: count for (stage, task), count in watcher.items.items() if stage == "1-first"}
    assert again == {"first": 0, "second": 0, "third": 1}
    found = contents(run)
    assert {name: found[name] for name in killed.files} == killed.files


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("methods/ewc.safetensors", flip_a_bit),
        ("methods/ewc.json", flip_a_bit),
        ("methods/ewc.safetensors", cut_in_half),
        ("model/model.safetensors", flip_a_bit),
    ],
)
def test_damage_to_what_a_finished_stage_left_stops_the_run_by_name(
    file: str, damage: Callable[[Path], None], killed: Killed, run: Path
) -> None:
    shutil.copytree(killed.saving, run)
    damaged = run / "stages" / "1-first" / file
    damage(damaged)
    assert in_child(commanded("run", "plan.yaml", "-q")) == 2
    said = (killed.folder / "err").read_text()
    assert said.startswith(f"error: {damaged}: not the file that was written")


def test_damaged_scores_of_a_finished_stage_are_said_and_scored_again(
    killed: Killed, run: Path
) -> None:
    shutil.copytree(killed.saving, run)
    cut_in_half(run / "stages" / "1-first" / "scores.jsonl")
    assert "1-first/scores.jsonl is damaged; the stage is scored again" in continued(killed)
