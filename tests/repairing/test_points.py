"""Points lie where they say, and both ends are exact copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch

from forgetless.repairing.points import (
    BASE,
    TUNED,
    Between,
    Point,
    first_points,
    layers_of,
    points_around,
    third_of,
)
from tests.training.build import fresh


@pytest.fixture
def ends(tiny_model: Path) -> tuple[Any, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    model = fresh(tiny_model).model
    base = {name: value.detach().clone() for name, value in model.named_parameters()}
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value += 0.1 * torch.randn(value.shape, generator=generator)
    tuned = {name: value.detach().clone() for name, value in model.named_parameters()}
    return model, base, tuned


def test_base_and_tuned_are_bit_for_bit_what_they_were(ends: Any) -> None:
    model, base, tuned = ends
    between = Between(model, base)
    for point, wanted in ((BASE, base), (Point.even(0.3), None), (TUNED, tuned), (BASE, base)):
        between.set(point)
        if wanted is not None:
            assert all(torch.equal(v, wanted[n]) for n, v in model.named_parameters())


def test_a_linear_point_is_the_weighted_mean(ends: Any) -> None:
    model, base, tuned = ends
    Between(model, base).set(Point.even(0.25))
    for name, value in model.named_parameters():
        torch.testing.assert_close(value.detach(), 0.75 * base[name] + 0.25 * tuned[name])


def test_each_third_of_the_layers_goes_its_own_way(ends: Any) -> None:
    model, base, tuned = ends
    Between(model, base).set(Point((0.0, 0.5, 1.0)))
    layers = layers_of([name for name, _ in model.named_parameters()])
    for name, value in model.named_parameters():
        alpha = {0: 0.0, 1: 0.5, 2: 1.0, None: 0.5}[third_of(name, layers)]
        torch.testing.assert_close(value.detach(), (1 - alpha) * base[name] + alpha * tuned[name])


def test_trimming_keeps_the_largest_entries_and_leaves_the_others_at_the_base(ends: Any) -> None:
    model, base, tuned = ends
    Between(model, base).set(Point.even(1.0, "trimmed", 0.3))
    for name, value in model.named_parameters():
        moved = (value.detach() - base[name]).abs() > 1e-7
        assert float(moved.float().mean()) == pytest.approx(0.3, abs=0.05)
        change = (tuned[name] - base[name]).abs()
        if moved.any() and not moved.all():
            assert change[moved].min() >= change[~moved].max()


def test_a_point_is_the_same_each_time_it_is_set(ends: Any) -> None:
    model, base, _ = ends
    between, point = Between(model, base), Point.even(0.7, "dropped", 0.3)
    between.set(point)
    first = {name: value.detach().clone() for name, value in model.named_parameters()}
    between.set(TUNED)
    between.set(point)
    assert all(torch.equal(value, first[name]) for name, value in model.named_parameters())


def test_an_adapter_is_scaled_by_its_second_factor(tiny_model: Path) -> None:
    model = peft.get_peft_model(
        fresh(tiny_model).model, peft.LoraConfig(r=2, target_modules=["q_proj"])
    )
    for name, value in model.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(value)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    Between(model, None).set(Point.even(0.4))
    for name, value in model.named_parameters():
        scale = 0.4 if ".lora_B." in name else 1.0
        torch.testing.assert_close(value.detach(), scale * before[name])


def test_neighbours_differ_in_one_third_and_stay_between_the_ends() -> None:
    found = points_around(Point.even(1.0))
    assert found == [Point((0.8, 1.0, 1.0)), Point((1.0, 0.8, 1.0)), Point((1.0, 1.0, 0.8))]
    assert all(point.how == "linear" for point in first_points(adapter=True))
    assert len(set(first_points(adapter=False))) == len(first_points(adapter=False))
