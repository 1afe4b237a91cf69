"""A guarded training that is killed and resumed is judged against the first row 0."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from forgetless.errors import UsageError
from forgetless.guard import RetentionGuard
from forgetless.guard.callback import STATE
from forgetless.guard.kept import FOLDER
from tests.guard.build import RUINOUS, known_task, steps
from tests.training.build import differing
from tests.training.trainers import StopAt, made, state_of

pytestmark = pytest.mark.system

SAVED: dict[str, Any] = {
    "save_strategy": "steps",
    "save_steps": 2,
    "num_train_epochs": 4,
    **RUINOUS,
}


def make_guard(tiny_model: Path, **changes: Any) -> RetentionGuard:
    return RetentionGuard([known_task(tiny_model)], **{"every": 3, **changes})


def killed(tiny_model: Path, folder: Path, step: int, guard: RetentionGuard | None) -> None:
    """A training that was killed after some step."""
    callbacks = [*([guard] if guard is not None else []), StopAt(step)]
    with pytest.raises(KeyboardInterrupt):
        made("transformers", tiny_model, folder, callbacks=callbacks, **SAVED).train()


def resumed(tiny_model: Path, folder: Path, guard: RetentionGuard, **changes: Any) -> Any:
    """The same training in another process, gone on with."""
    trainer = made("transformers", tiny_model, folder, callbacks=[guard], **{**SAVED, **changes})
    trainer.train(resume_from_checkpoint=True)
    return trainer


def kept(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in (folder / FOLDER).rglob("weights.safetensors"))


@pytest.mark.parametrize(
    "changes", [{}, {"restore_callback_states_from_checkpoint": True}], ids=len
)
def test_history_goes_on_as_if_there_had_been_no_kill(
    changes: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    whole = make_guard(tiny_model)
    made("transformers", tiny_model, tmp_path / "whole", callbacks=[whole], **SAVED).train()
    killed(tiny_model, tmp_path / "killed", 5, make_guard(tiny_model))
    guard = make_guard(tiny_model)
    trainer = resumed(tiny_model, tmp_path / "killed", guard, **changes)
    assert steps(guard) == steps(whole) == [0, 3, 6, 9, 12]
    for mine, other in zip(guard.history, whole.history, strict=True):
        assert (mine.cells, mine.findings) == (other.cells, other.findings)
    assert guard.history[0].score("known") == 1.0  # not the half-trained model's
    logged = [line["step"] for line in trainer.state.log_history if "retention/known" in line]
    assert logged == [0, 3, 6, 9, 12]


def test_weights_of_an_earlier_step_outlive_a_kill(tiny_model: Path, tmp_path: Path) -> None:
    first = make_guard(tiny_model, on_break="rollback", patience=3)
    start = state_of(made("transformers", tiny_model, tmp_path))
    killed(tiny_model, tmp_path, 5, first)
    assert first.broken == ("known",)
    assert kept(tmp_path) == ["step-0"]
    guard = make_guard(tiny_model, on_break="rollback", patience=3)
    trainer = resumed(tiny_model, tmp_path, guard)
    assert guard.stopped_at == 9  # the break before the kill counts
    assert guard.rolled_back_to == 0
    assert differing(state_of(trainer), start) == []
    assert kept(tmp_path) == ["step-0"]  # checkpoints would still roll back to it


def test_weights_stay_as_long_as_a_checkpoint_refers_to_them(
    tiny_model: Path, tmp_path: Path
) -> None:
    guard = make_guard(tiny_model, on_break="rollback", budget={}, every=1)
    killed(tiny_model, tmp_path, 5, guard)
    assert kept(tmp_path) == ["step-2", "step-4", "step-5"]
    again = make_guard(tiny_model, on_break="rollback", budget={}, every=1)
    resumed(tiny_model, tmp_path, again, save_total_limit=1)
    assert kept(tmp_path) == ["step-12"]


def test_lost_weights_are_told_before_training_goes_on(tiny_model: Path, tmp_path: Path) -> None:
    killed(tiny_model, tmp_path, 5, make_guard(tiny_model, on_break="rollback", patience=3))
    (tmp_path / FOLDER).rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is not there"):
        resumed(tiny_model, tmp_path, make_guard(tiny_model, on_break="rollback"))


def test_weights_of_another_training_are_not_put_back(tiny_model: Path, tmp_path: Path) -> None:
    killed(tiny_model, tmp_path, 5, make_guard(tiny_model, on_break="rollback", patience=3))
    (tmp_path / "checkpoint-4").rename(tmp_path / "aside")
    killed(tiny_model, tmp_path, 1, make_guard(tiny_model, on_break="rollback", patience=3))
    (tmp_path / "aside").rename(tmp_path / "checkpoint-4")
    with pytest.raises(UsageError, match="is of another training"):
        resumed(tiny_model, tmp_path, make_guard(tiny_model, on_break="rollback"))


def test_a_checkpoint_without_a_guard_has_no_row_0(tiny_model: Path, tmp_path: Path) -> None:
    killed(tiny_model, tmp_path, 3, None)
    with pytest.raises(UsageError, match="how the model scored before training is not known"):
        resumed(tiny_model, tmp_path, make_guard(tiny_model))


def written_by_an_earlier_version(folder: Path) -> None:
    """Of the last check within budget, checkpoints held the step alone."""
    for file in folder.glob("checkpoint-*/trainer_state.json"):
        state = json.loads(file.read_text())
        for name, held in state["stateful_callbacks"].items():
            if name.startswith(STATE):
                held["good"] = held["good"]["step"]
        file.write_text(json.dumps(state))


def test_a_checkpoint_of_an_earlier_version_is_not_gone_on_from(
    tiny_model: Path, tmp_path: Path
) -> None:
    killed(tiny_model, tmp_path, 3, make_guard(tiny_model))
    written_by_an_earlier_version(tmp_path)
    with pytest.raises(UsageError, match="was written by an earlier version of") as caught:
        resumed(tiny_model, tmp_path, make_guard(tiny_model))
    assert caught.value.fix == "train from the start:  trainer.train()"


def test_checkpoints_of_an_earlier_version_are_no_obstacle_to_a_new_training(
    tiny_model: Path, tmp_path: Path
) -> None:
    killed(tiny_model, tmp_path, 5, make_guard(tiny_model, on_break="rollback", patience=3))
    written_by_an_earlier_version(tmp_path)
    guard = make_guard(tiny_model, on_break="rollback", budget={}, every=1)
    killed(tiny_model, tmp_path, 1, guard)
    assert kept(tmp_path) == ["step-1"]


def test_other_items_cannot_be_compared(tiny_model: Path, tmp_path: Path) -> None:
    killed(tiny_model, tmp_path, 3, make_guard(tiny_model))
    with pytest.raises(UsageError, match="asks otherwise"):
        resumed(tiny_model, tmp_path, make_guard(tiny_model, limit=10))
    task = known_task(tiny_model)
    moved = replace(task, config=task.config.model_copy(update={"train": "elsewhere.jsonl"}))
    guard = RetentionGuard([moved], every=3)
    resumed(tiny_model, tmp_path, guard)
    assert steps(guard) == [0, 3, 6, 9, 12]


def test_another_budget_judges_the_past_anew(tiny_model: Path, tmp_path: Path) -> None:
    first = make_guard(tiny_model)
    killed(tiny_model, tmp_path, 5, first)
    assert first.history[1].broken
    guard = make_guard(tiny_model, budget=0.99)
    resumed(tiny_model, tmp_path, guard)
    assert not guard.history[1].broken


def test_weights_that_a_stricter_budget_would_not_have_kept_are_not_rolled_back_to(
    tiny_model: Path, tmp_path: Path
) -> None:
    killed(tiny_model, tmp_path, 5, make_guard(tiny_model, on_break="rollback", budget=0.99))
    with pytest.raises(UsageError, match="rollback would go to step 3, where task 'known' is not"):
        resumed(tiny_model, tmp_path, make_guard(tiny_model, on_break="rollback"))
    resumed(tiny_model, tmp_path, make_guard(tiny_model, on_break="stop"))


def test_weights_kept_before_a_training_was_begun_anew_are_judged_by_a_stricter_budget_too(
    tiny_model: Path, tmp_path: Path
) -> None:
    guard = make_guard(tiny_model, on_break="rollback", budget=0.99)
    trainer = made("transformers", tiny_model, tmp_path, callbacks=[guard, StopAt(3)], **SAVED)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    trainer.callback_handler.callbacks.insert(0, StopAt(3))
    with pytest.raises(KeyboardInterrupt):  # begun anew, and killed before its first check
        trainer.train()
    strict = make_guard(tiny_model, on_break="rollback")
    with pytest.raises(UsageError, match=r"go to step 3 of the attempt before, where task 'known'"):
        resumed(tiny_model, tmp_path, strict)
    guard = make_guard(tiny_model, on_break="rollback", budget=0.99)
    resumed(tiny_model, tmp_path, guard)
    assert steps(guard) == [0, 3, 6, 9, 12]


def test_a_checkpoint_holds_items_on_few_lines(tiny_model: Path, tmp_path: Path) -> None:
    killed(tiny_model, tmp_path, 5, make_guard(tiny_model))
    text = (tmp_path / "checkpoint-4" / "trainer_state.json").read_text(encoding="utf-8")
    held = json.loads(text)["stateful_callbacks"]["forgetless.RetentionGuard(known)"]
    assert [check["step"] for check in held["checks"]] == [0, 3]
    assert len(text.splitlines()) < 120


def test_weights_that_a_kill_left_half_written_are_deleted(
    tiny_model: Path, tmp_path: Path
) -> None:
    for torn in (".step-4.part", ".step-2.old"):
        (tmp_path / FOLDER / torn).mkdir(parents=True)
        (tmp_path / FOLDER / torn / "weights.safetensors").write_bytes(b"torn")
    guard = make_guard(tiny_model, on_break="rollback", budget={})
    made("transformers", tiny_model, tmp_path, callbacks=[guard], max_steps=1).train()
    assert not (tmp_path / FOLDER).exists()


def test_a_torn_checkpoint_keeps_no_weights(tiny_model: Path, tmp_path: Path) -> None:
    torn = tmp_path / "checkpoint-2"
    torn.mkdir()
    (torn / "trainer_state.json").write_text('{"stateful_callb', encoding="utf-8")
    guard = make_guard(tiny_model, on_break="rollback", budget={})
    trainer = made("transformers", tiny_model, tmp_path, callbacks=[guard], max_steps=2)
    trainer.train()
    assert kept(tmp_path) == []
    assert all(torch.isfinite(tensor).all() for tensor in state_of(trainer).values())
