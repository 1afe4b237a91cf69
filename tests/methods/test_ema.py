from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from forgetless.methods.base import Method
from forgetless.methods.compose import Compose
from forgetless.methods.ema import EMA
from forgetless.methods.sfa import SFA
from tests.methods.test_phases import Capture
from tests.training.build import (
    Weights,
    colour_task,
    differing,
    fresh,
    one_stage_a_task,
    settings,
    train,
    weights,
    workbench,
)

FIRST, SECOND = one_stage_a_task([colour_task("first", 0), colour_task("second", 1)])


def watched(
    model: Path, folder: Path, methods: list[Method[Any]], dtype: str = "float32", **config: Any
) -> tuple[Capture, Weights]:
    """The weights after each step of a stage, and those that it left."""
    capture = Capture()
    loaded = fresh(model, dtype=dtype)
    train(loaded, FIRST, settings(**config), folder, Compose([*methods, capture]))
    return capture, weights(loaded.model)


def by_hand(path: list[Weights], decays: list[float]) -> Weights:
    """The recurrence, in float64; the first of the path is the start."""
    average = {name: value.double() for name, value in path[0].items()}
    for step, decay in zip(path[1:], decays, strict=True):
        average = {n: decay * average[n] + (1 - decay) * step[n].double() for n in average}
    return average


@pytest.mark.parametrize(
    ("options", "taken", "decays"),
    [
        ({"decay": 0.6, "warmup": False}, [1, 2, 3, 4, 5], [0.6] * 5),
        ({"decay": 0.6, "warmup": False, "every": 2}, [2, 4, 5], [0.6] * 3),
        ({"decay": 0.3}, [1, 2, 3, 4, 5], [2 / 11, 3 / 12, 0.3, 0.3, 0.3]),
        ({"decay": 0.9, "every": 2}, [2, 4, 5], [2 / 11, 3 / 12, 4 / 13]),
        ({"decay": 0.9, "every": 9}, [5], [2 / 11]),
    ],
)
def test_stage_leaves_the_recurrence_over_its_steps(
    options: dict[str, Any], taken: list[int], decays: list[float], tiny_model: Path, tmp_path: Path
) -> None:
    capture, left = watched(tiny_model, tmp_path, [EMA(**options)], steps=5)
    path = [capture.before[0], *(capture.after[step - 1] for step in taken)]
    for name, expected in by_hand(path, decays).items():
        torch.testing.assert_close(left[name].double(), expected, rtol=1e-6, atol=1e-7)
    assert len(differing(left, capture.after[-1])) == len(left)


def test_training_itself_goes_on_as_without(tiny_model: Path, tmp_path: Path) -> None:
    averaged, _ = watched(tiny_model, tmp_path / "averaged", [EMA(decay=0.9)])
    plain, _ = watched(tiny_model, tmp_path / "plain", [])
    for ours, theirs in zip(averaged.after, plain.after, strict=True):
        assert differing(ours, theirs) == []


def test_next_stage_begins_with_the_average_and_averages_anew(
    tiny_model: Path, tmp_path: Path
) -> None:
    capture = Capture()
    methods = Compose([EMA(decay=0.9), capture])
    loaded = fresh(tiny_model)
    train(loaded, FIRST, settings(steps=2), tmp_path / "first", methods)
    between = weights(loaded.model)
    train(loaded, SECOND, settings(steps=2), tmp_path / "second", methods)
    assert differing(capture.before[2], between) == []
    expected = by_hand([between, *capture.after[2:]], [2 / 11, 3 / 12])
    for name, value in weights(loaded.model).items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-6, atol=1e-7)


def test_average_of_half_precision_weights_is_kept_in_full(
    tiny_model: Path, tmp_path: Path
) -> None:
    """In bfloat16 an average with this decay would not move at all."""
    options = {"decay": 0.998, "warmup": False}
    capture, left = watched(tiny_model, tmp_path, [EMA(**options)], "bfloat16", steps=4)
    expected = by_hand([capture.before[0], *capture.after], [0.998] * 4)
    moved = 0
    for name, value in left.items():
        assert value.dtype == torch.bfloat16
        torch.testing.assert_close(value.float(), expected[name].float(), rtol=2**-8, atol=1e-6)
        moved += int((value != capture.before[0][name]).sum())
    assert moved > 100


def test_steps_are_seen_as_the_methods_after_it_leave_them(
    tiny_model: Path, tmp_path: Path
) -> None:
    """SFA comes later in the order, and averages the weights after the second step."""
    methods: list[Method[Any]] = [EMA(decay=0.6, warmup=False), SFA(weight=0.9, interval=1)]
    capture, left = watched(tiny_model, tmp_path, methods, steps=2)
    expected = by_hand([capture.before[0], *capture.after], [0.6, 0.6])
    for name, value in left.items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-6, atol=1e-7)


def test_average_is_saved_within_a_stage_and_forgotten_after_it(tiny_model: Path) -> None:
    ema = EMA(decay=0.5)
    loaded = fresh(tiny_model)
    bench = workbench(loaded, FIRST)
    ema.start_stage(bench, bench.new)
    ema.after_step(loaded.model)
    saved = ema.state()
    assert saved.values == {"steps": 1}
    assert set(saved.tensors) == set(weights(loaded.model))
    again = EMA(decay=0.5)
    again.start_stage(bench, bench.new)
    again.restore(saved)
    assert again.state().values == saved.values
    ema.settle(bench)
    assert ema.state().tensors == {}


def test_stage_without_a_step_is_left_as_it_was(tiny_model: Path) -> None:
    loaded = fresh(tiny_model)
    start = weights(loaded.model)
    ema = EMA(decay=0.5)
    bench = workbench(loaded, FIRST)
    ema.start_stage(bench, bench.new)
    ema.settle(bench)
    assert differing(weights(loaded.model), start) == []


def test_only_what_is_trained_is_averaged(tiny_model: Path) -> None:
    loaded = fresh(tiny_model)
    for name, parameter in loaded.model.named_parameters():
        parameter.requires_grad_("mlp" in name)
    ema = EMA(decay=0.5)
    bench = workbench(loaded, FIRST)
    ema.start_stage(bench, bench.new)
    assert ema.state().tensors
    assert all("mlp" in name for name in ema.state().tensors)


def test_without_decay_it_does_not_act_and_keeps_no_average(tiny_model: Path) -> None:
    ema = EMA(decay=0)
    bench = workbench(fresh(tiny_model), FIRST)
    ema.start_stage(bench, bench.new)
    assert ema.state().tensors == {}
    assert not ema.acts_in(FIRST)
    assert EMA().acts_in(FIRST)
