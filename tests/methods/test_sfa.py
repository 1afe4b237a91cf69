from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from forgetless.methods.compose import Compose
from forgetless.methods.merge import Merge
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
)

FIRST, SECOND = one_stage_a_task([colour_task("first", 0), colour_task("second", 1)])


class Watched(SFA):
    """Writes down what is averaged, when, and what comes of it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.found: list[tuple[int, Weights, Weights]] = []

    def _return(self, model: Any) -> None:
        raw = weights(model)
        super()._return(model)
        self.found.append((self._steps, raw, weights(model)))


def watched(model: Path, folder: Path, steps: int, **options: Any) -> tuple[Watched, Weights]:
    method = Watched(**options)
    loaded = fresh(model)
    train(loaded, FIRST, settings(steps=steps), folder, Compose([method]))
    return method, weights(loaded.model)


@pytest.mark.parametrize(
    ("steps", "interval", "expected"),
    [
        (8, 0.25, [2, 4, 6, 8]),
        (21, 0.25, [6, 11, 16, 21]),
        (6, 0.25, [2, 3, 5, 6]),
        (7, 0.25, [2, 4, 6, 7]),
        (10, 0.3, [3, 6, 10]),
        (10, 0.4, [4, 8, 10]),
        (5, 1, [5]),
        (3, 0.01, [1, 2, 3]),
    ],
)
def test_averages_stand_at_each_interval_and_at_the_end(
    steps: int, interval: float, expected: list[int], tiny_model: Path, tmp_path: Path
) -> None:
    method, _ = watched(tiny_model, tmp_path, steps, interval=interval)
    assert [step for step, _, _ in method.found] == expected


def test_average_is_of_the_weights_and_the_start(tiny_model: Path, tmp_path: Path) -> None:
    method, left = watched(tiny_model, tmp_path, 4, weight=0.3, interval=0.5)
    start = weights(fresh(tiny_model).model)
    for _, raw, averaged in method.found:
        for name, value in averaged.items():
            expected = 0.7 * raw[name].double() + 0.3 * start[name].double()
            torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-8)
            assert not value.equal(raw[name])
    assert differing(method.found[-1][2], left) == []


def test_training_is_plain_up_to_the_first_average_and_goes_on_from_it(
    tiny_model: Path, tmp_path: Path
) -> None:
    capture, plain = Capture(), Capture()
    averaged = Compose([SFA(interval=0.5), capture])
    train(fresh(tiny_model), FIRST, settings(), tmp_path / "averaged", averaged)
    train(fresh(tiny_model), FIRST, settings(), tmp_path / "plain", Compose([plain]))
    assert differing(capture.after[0], plain.after[0]) == []
    assert len(differing(capture.after[1], plain.after[1])) == len(plain.after[1])
    assert differing(capture.before[2], capture.after[1]) == []
    assert differing(capture.gradients[1], plain.gradients[1]) == []


def test_one_average_at_the_end_is_a_merge(tiny_model: Path, tmp_path: Path) -> None:
    _, left = watched(tiny_model, tmp_path / "sfa", 4, weight=0.3, interval=1)
    loaded = fresh(tiny_model)
    train(loaded, FIRST, settings(), tmp_path / "merge", Compose([Merge(alpha=0.7)]))
    for name, value in weights(loaded.model).items():
        torch.testing.assert_close(value, left[name], rtol=1e-6, atol=1e-8)


def test_second_stage_returns_to_what_the_first_left(tiny_model: Path, tmp_path: Path) -> None:
    method = Watched(weight=0.4, interval=0.5)
    loaded = fresh(tiny_model)
    train(loaded, FIRST, settings(), tmp_path / "first", Compose([method]))
    start = weights(loaded.model)
    method.found.clear()
    train(loaded, SECOND, settings(), tmp_path / "second", Compose([method]))
    assert [step for step, _, _ in method.found] == [2, 4]
    for _, raw, averaged in method.found:
        for name, value in averaged.items():
            expected = 0.6 * raw[name].double() + 0.4 * start[name].double()
            torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-8)


def test_start_is_let_go_when_the_stage_ends(tiny_model: Path, tmp_path: Path) -> None:
    method, _ = watched(tiny_model, tmp_path, 2)
    assert method._start == {}


def test_the_larger_its_weight_the_nearer_the_start(tiny_model: Path, tmp_path: Path) -> None:
    start = weights(fresh(tiny_model).model)
    ways = []
    for weight in (0, 0.5, 0.9):
        _, left = watched(tiny_model, tmp_path / str(weight), 4, weight=weight)
        ways.append(sum(float((left[n] - start[n]).square().sum()) for n in start))
    assert ways == sorted(ways, reverse=True)
    assert ways[2] < 0.1 * ways[0]


def test_without_weight_it_does_not_act_and_keeps_no_start(
    tiny_model: Path, tmp_path: Path
) -> None:
    sfa = SFA(weight=0)
    kept = []
    methods = Compose([sfa])
    train(
        fresh(tiny_model), FIRST, settings(), tmp_path, methods, lambda _: kept.append(sfa._start)
    )
    assert kept == [{}] * 4
    assert not sfa.acts_in(FIRST)
    assert SFA().acts_in(FIRST)
