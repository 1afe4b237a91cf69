"""Training that breaks down stops before it does damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from forgetless.errors import TrainingFailed
from forgetless.methods.base import Method
from forgetless.methods.compose import Compose
from forgetless.training.checkpoints import latest_complete
from tests.methods.probes import NoConfig
from tests.training.build import (
    Weights,
    colour_task,
    fresh,
    one_stage_a_task,
    settings,
    train,
    weights,
)

(STAGE,) = one_stage_a_task([colour_task("a")])


class SpoilsOneEntry(Method[NoConfig]):
    """Makes one entry of the gradient no number, from the third step on."""

    name = "spoils"
    Config = NoConfig

    def __init__(self, value: float) -> None:
        super().__init__(NoConfig())
        self.value = value
        self.steps = 0

    def change_gradient(self, model: Any) -> None:
        self.steps += 1
        if self.steps >= 3:
            next(iter(model.parameters())).grad[0, 0] = self.value


def bits(found: Weights) -> dict[str, bytes]:
    """NaN equals NaN here, unlike in torch.equal."""
    return {name: value.numpy().tobytes() for name, value in found.items()}


def test_loss_that_is_no_number_stops_before_the_weights_are_touched(
    tiny_model: Path, tmp_path: Path
) -> None:
    loaded = fresh(tiny_model)
    with torch.no_grad():
        loaded.model.model.norm.weight[3] = torch.nan
    before = bits(weights(loaded.model))
    with pytest.raises(TrainingFailed) as caught:
        train(loaded, STAGE, settings(learning_rate=3e-4), tmp_path)
    assert caught.value.message == (
        "the loss became nan at step 1 of 4; the stages before this one are kept, with their scores"
    )
    assert caught.value.fix == (
        "lower the learning rate:  --set training.learning_rate=3e-05 --set output=runs/other"
    )
    assert caught.value.exit_code == 1
    assert bits(weights(loaded.model)) == before


@pytest.mark.parametrize(("value", "shown"), [(float("nan"), "nan"), (float("inf"), "inf")])
def test_gradient_that_is_no_number_stops_before_the_weights_are_touched(
    value: float, shown: str, tiny_model: Path, tmp_path: Path
) -> None:
    loaded = fresh(tiny_model)
    good: list[Weights] = []
    with pytest.raises(TrainingFailed, match=f"the gradient norm became {shown} at step 3 of 4"):
        train(loaded, STAGE, settings(), tmp_path, Compose([SpoilsOneEntry(value)]),
              lambda _: good.append(weights(loaded.model)))  # fmt: skip
    assert len(good) == 2
    assert bits(weights(loaded.model)) == bits(good[-1])


def test_gradient_that_is_no_number_is_seen_without_clipping_too(
    tiny_model: Path, tmp_path: Path
) -> None:
    spoiled = Compose([SpoilsOneEntry(float("nan"))])
    with pytest.raises(TrainingFailed, match="gradient norm became nan"):
        train(fresh(tiny_model), STAGE, settings(max_grad_norm=0), tmp_path, spoiled)


def test_rate_that_is_far_too_high_is_told(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match=r"became (nan|inf) at step \d of 9") as caught:
        train(fresh(tiny_model), STAGE, settings(learning_rate=1e30, steps=9, warmup=0), tmp_path)
    assert caught.value.fix is not None
    assert caught.value.fix.endswith("--set training.learning_rate=1e+29 --set output=runs/other")


def test_last_good_state_stays_on_disk(tiny_model: Path, tmp_path: Path) -> None:
    loaded = fresh(tiny_model)
    good: list[Weights] = []
    with pytest.raises(TrainingFailed, match="gradient norm became nan"):
        train(loaded, STAGE, settings(checkpoint_every=1), tmp_path,
              Compose([SpoilsOneEntry(float("nan"))]),
              lambda _: good.append(weights(loaded.model)))  # fmt: skip
    found = latest_complete(tmp_path)
    assert found is not None
    assert found.folder.name == "checkpoint-2"
    saved = load_file(found.folder / "trained.safetensors")
    assert all(saved[name].equal(good[1][name]) for name in saved)
