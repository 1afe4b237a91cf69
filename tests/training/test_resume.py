"""A stage that was killed ends in the same bits as one that was not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from forgetless.methods.compose import Compose
from forgetless.methods.self_replay import SelfReplay
from forgetless.methods.stage import Workbench
from forgetless.models.source import file_hash
from forgetless.plan import MethodSpec, TrainingConfig
from forgetless.tasks.examples import Examples
from forgetless.training.checkpoints import Checkpoint, latest_complete, seal
from tests.methods.probes import Slow, StrengthConfig
from tests.training.build import (
    Trained,
    colour_task,
    differing,
    fresh,
    one_stage_a_task,
    settings,
    train,
    weights,
)

EARLIER, STAGE = one_stage_a_task([colour_task("first", 0), colour_task("second", 1)])


class Killed(BaseException):
    """As little to be caught as a signal."""


def replay() -> Compose:
    methods = Compose.from_plan([MethodSpec(name="replay", options={"ratio": 0.4})])
    methods.keep_rows(EARLIER)
    return methods


def lora(dropout: float = 0.1) -> Compose:
    return Compose.from_plan([MethodSpec(name="lora", options={"rank": 4, "dropout": dropout})])


CASES: dict[str, tuple[Callable[[], Compose], dict[str, Any]]] = {
    "sequential": (Compose, {}),
    "replay": (replay, {}),
    "lora with dropout": (lora, {}),
    "accumulation": (Compose, {"accumulation": 2, "batch_size": 2}),
    "state within the stage": (lambda: Compose([Slow(StrengthConfig(strength=0.5))]), {}),
}


def usual(case: str) -> tuple[Callable[[], Compose], TrainingConfig]:
    make, changes = CASES[case]
    return make, settings(**{"steps": 6, "checkpoint_every": 2, **changes})


def die_at(fatal: int) -> Callable[[int], None]:
    def on_step(step: int) -> None:
        if step == fatal:
            raise Killed

    return on_step


def killed(model: Path, config: TrainingConfig, folder: Path, methods: Compose, at: int) -> None:
    with pytest.raises(Killed):
        train(fresh(model), STAGE, config, folder, methods, die_at(at))


def test_a_checkpoint_holds_no_group_without_weights_as_under_deepspeed(
    tiny_model: Path, tmp_path: Path
) -> None:
    """An adapter has no weight that is spared the decay; states are the same whoever wrote them."""
    make, config = usual("lora with dropout")
    killed(tiny_model, config, tmp_path, make(), 3)
    state = torch.load(tmp_path / "checkpoint-2" / "optimizer.pt", weights_only=True)
    assert [bool(group["params"]) for group in state["param_groups"]] == [True]


def assert_same(first: Trained, second: Trained) -> None:
    assert differing(weights(first.model), weights(second.model)) == []
    assert (first.report.first_loss, first.report.final_loss) == (
        second.report.first_loss,
        second.report.final_loss,
    )
    assert [*first.schedule.lines()] == [*second.schedule.lines()]


@pytest.fixture(scope="module")
def uninterrupted(
    tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Trained]:
    found: dict[str, Trained] = {}

    def get(case: str) -> Trained:
        if case not in found:
            make, config = usual(case)
            folder = tmp_path_factory.mktemp("whole")
            found[case] = train(fresh(tiny_model), STAGE, config, folder, make())
        return found[case]

    return get


@pytest.mark.parametrize(("case", "at"), [("sequential", 3), *((case, 5) for case in CASES)])
def test_resumed_stage_ends_in_the_same_bits(
    case: str,
    at: int,
    tiny_model: Path,
    tmp_path: Path,
    uninterrupted: Callable[[str], Trained],
) -> None:
    make, config = usual(case)
    killed(tiny_model, config, tmp_path, make(), at)
    again = train(fresh(tiny_model), STAGE, config, tmp_path, make())
    whole = uninterrupted(case)
    assert again.losses == whole.losses[(at - 1) // 2 * 2 :]  # it did not start from the beginning
    assert_same(again, whole)


def test_what_the_model_wrote_before_the_kill_is_not_written_again(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = SelfReplay._write

    def noted(method: SelfReplay, bench: Workbench) -> Examples:
        written.append(bench.stage.number)
        return write(method, bench)

    def make() -> Compose:
        return Compose([SelfReplay(ratio=0.3, rows=6, max_new_tokens=12)])

    monkeypatch.setattr(SelfReplay, "_write", noted)
    config = settings(steps=6, checkpoint_every=2)
    killed(tiny_model, config, tmp_path, make(), 3)
    train(fresh(tiny_model), STAGE, config, tmp_path, make())
    assert written == [STAGE.number]


def test_files_of_the_checkpoint_gone_on_from_are_read_for_damage_once(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, config = usual("sequential")
    killed(tiny_model, config, tmp_path, make(), 5)
    checked: list[Path] = []

    def watched(file: Path) -> str:
        checked.append(file)
        return file_hash(file)

    monkeypatch.setattr("forgetless.training.checkpoints.file_hash", watched)
    train(fresh(tiny_model), STAGE, config.model_copy(update={"checkpoint_every": 9}), tmp_path)
    assert checked.count(tmp_path / "checkpoint-4" / "trained.safetensors") == 1


def test_stage_killed_before_its_first_checkpoint_starts_again(
    tiny_model: Path, tmp_path: Path, uninterrupted: Callable[[str], Trained]
) -> None:
    make, config = usual("sequential")
    killed(tiny_model, config, tmp_path, make(), 2)
    assert_same(
        train(fresh(tiny_model), STAGE, config, tmp_path, make()), uninterrupted("sequential")
    )


def test_stage_killed_again_and_again_ends_in_the_same_bits(
    tiny_model: Path, tmp_path: Path, uninterrupted: Callable[[str], Trained]
) -> None:
    make, config = usual("lora with dropout")
    config = config.model_copy(update={"checkpoint_every": 1})
    for at in (2, 3, 5, 6):
        killed(tiny_model, config, tmp_path, make(), at)
    again = train(fresh(tiny_model), STAGE, config, tmp_path, make())
    assert len(again.losses) == 1
    assert_same(again, uninterrupted("lora with dropout"))


def test_stage_killed_after_its_last_step_trains_no_further(
    tiny_model: Path, tmp_path: Path, uninterrupted: Callable[[str], Trained]
) -> None:
    make, config = usual("sequential")
    train(fresh(tiny_model), STAGE, config, tmp_path, make())  # killed before the model was saved
    again = train(fresh(tiny_model), STAGE, config, tmp_path, make())
    assert again.losses == []
    assert_same(again, uninterrupted("sequential"))


def spoil_byte(checkpoint: Path) -> None:
    file = checkpoint / "trained.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)


def cut_short(checkpoint: Path) -> None:
    file = checkpoint / "optimizer.pt"
    file.write_bytes(file.read_bytes()[:100])


def lose_file(checkpoint: Path) -> None:
    (checkpoint / "scheduler.pt").unlink()


def lose_seal(checkpoint: Path) -> None:
    (checkpoint / "complete.json").unlink()


def garble_seal(checkpoint: Path) -> None:
    (checkpoint / "complete.json").write_text("{}")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (spoil_byte, "trained.safetensors is damaged"),
        (cut_short, "optimizer.pt is damaged"),
        (lose_file, "scheduler.pt is damaged"),
        (lose_seal, "it was not finished"),
        (garble_seal, "it was not finished"),
    ],
)
def test_damaged_checkpoint_is_skipped_and_the_one_before_is_used(
    damage: Callable[[Path], None],
    reason: str,
    tiny_model: Path,
    tmp_path: Path,
    uninterrupted: Callable[[str], Trained],
    caplog: pytest.LogCaptureFixture,
) -> None:
    make, config = usual("sequential")
    killed(tiny_model, config, tmp_path, make(), 5)
    damage(tmp_path / "checkpoint-4")
    with caplog.at_level(logging.WARNING, "forgetless"):
        again = train(fresh(tiny_model), STAGE, config, tmp_path, make())
    assert f"checkpoint-4 is not used: {reason}" in caplog.text
    assert len(again.losses) == 4
    assert_same(again, uninterrupted("sequential"))


def test_checkpoint_killed_while_it_was_written_is_not_used(
    tiny_model: Path,
    tmp_path: Path,
    uninterrupted: Callable[[str], Trained],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make, config = usual("sequential")

    def dies_at_the_second(checkpoint: Checkpoint) -> None:
        if checkpoint.folder.name == "checkpoint-4":
            raise Killed
        seal(checkpoint)

    with monkeypatch.context() as patch:
        patch.setattr("forgetless.training.trainer.seal", dies_at_the_second)
        killed(tiny_model, config, tmp_path, make(), 99)
    assert (tmp_path / "checkpoint-4" / "trained.safetensors").is_file()
    again = train(fresh(tiny_model), STAGE, config, tmp_path, make())
    assert len(again.losses) == 4
    assert_same(again, uninterrupted("sequential"))


def test_checkpoint_carries_what_was_spent_before_the_kill(
    tiny_model: Path, tmp_path: Path
) -> None:
    make, config = usual("sequential")
    killed(tiny_model, config, tmp_path, make(), 5)
    found = latest_complete(tmp_path)
    assert found is not None
    assert found.folder.name == "checkpoint-4"
    seal(Checkpoint(found.folder, found.seconds + 1000, found.cpu_seconds + 1000))
    report = train(fresh(tiny_model), STAGE, config, tmp_path, make()).report
    assert 1000 < (report.seconds or 0) < 1060
    assert 1000 < (report.cpu_seconds or 0) < 1060


def test_no_checkpoint_is_written_for_a_short_stage(tiny_model: Path, tmp_path: Path) -> None:
    train(fresh(tiny_model), STAGE, settings(steps=4, checkpoint_every=4), tmp_path)
    assert list(tmp_path.glob("checkpoint-*")) == []
    assert latest_complete(tmp_path) is None


def test_two_checkpoints_are_kept(tiny_model: Path, tmp_path: Path) -> None:
    train(fresh(tiny_model), STAGE, settings(steps=5, checkpoint_every=1), tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*")) == ["checkpoint-4", "checkpoint-5"]


def test_dropout_changes_what_is_learned(tiny_model: Path, tmp_path: Path) -> None:
    """Otherwise the test of resuming with dropout would show nothing."""
    config = usual("lora with dropout")[1]
    dropped = train(fresh(tiny_model), STAGE, config, tmp_path / "dropped", lora())
    whole = train(fresh(tiny_model), STAGE, config, tmp_path / "whole", lora(dropout=0.0))
    assert [*dropped.schedule.lines()] == [*whole.schedule.lines()]
    assert dropped.losses[-1] != whole.losses[-1]
