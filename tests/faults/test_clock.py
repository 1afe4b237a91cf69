"""A clock that is set back while a stage is trained changes nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from forgetless.training.checkpoints import latest_complete
from tests.training.build import (
    colour_task,
    die_at,
    differing,
    fresh,
    one_stage_a_task,
    settings,
    train,
    weights,
)

pytestmark = pytest.mark.system

(STAGE,) = one_stage_a_task([colour_task("first", 0)])
TWO_HOURS = 7200.0


def test_a_clock_set_back_while_training_leaves_the_newest_checkpoints(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written before then seems to have been written two hours later."""
    config = settings(steps=8, checkpoint_every=2)
    whole = train(fresh(tiny_model), STAGE, config, tmp_path / "whole")

    def stepped(step: int) -> None:
        if step == 5:
            now = time.time
            monkeypatch.setattr(time, "time", lambda: now() - TWO_HOURS)
            for written in (tmp_path / "killed").rglob("*"):
                at = written.stat().st_mtime + TWO_HOURS
                os.utime(written, (at, at))
        die_at(7)(step)

    with pytest.raises(KeyboardInterrupt):
        train(fresh(tiny_model), STAGE, config, tmp_path / "killed", on_step=stepped)
    newest = latest_complete(tmp_path / "killed")
    assert newest is not None
    assert newest.folder.name == "checkpoint-6"
    assert newest.seconds > 0
    again = train(fresh(tiny_model), STAGE, config, tmp_path / "killed")
    assert len(again.losses) == 2
    assert differing(weights(again.model), weights(whole.model)) == []
