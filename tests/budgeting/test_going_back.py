"""Ways back from a stage's end, on a model of one weight."""

from __future__ import annotations

import pytest
import torch

from forgetless.budgeting.going_back import Point, go_back, learned_at

START = {"weight": torch.tensor([[0.0]])}
SNAPSHOT = {"weight": torch.tensor([[0.2]])}


def model_at(value: float) -> torch.nn.Linear:
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, value)
    return model


def test_every_way_is_asked_from_the_end_on_up_to_what_holds_and_the_best_of_these_is_left() -> (
    None
):
    model = model_at(1.0)

    def measure(origin: str, alpha: float) -> Point:
        value = model.weight.item()
        return Point(origin, alpha, {}, {}, learned=value, holds=value <= 0.55)

    left, asked = go_back(model, {"start": START, "snapshot": SNAPSHOT}, measure)
    assert [(point.origin, point.alpha) for point in asked] == [
        *(("start", alpha) for alpha in (0.9, 0.8, 0.7, 0.6, 0.5)),
        *(("snapshot", alpha) for alpha in (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)),
    ]
    assert (left.origin, left.alpha) == ("snapshot", 0.4)  # 0.2 + 0.4 * 0.8 = 0.52, above 0.5
    assert model.weight.item() == pytest.approx(0.52)


def test_of_points_that_learned_as_much_the_one_nearest_to_the_end_is_left() -> None:
    model = model_at(1.0)

    def measure(origin: str, alpha: float) -> Point:
        return Point(origin, alpha, {}, {}, learned=0.5, holds=model.weight.item() <= 0.55)

    left, _ = go_back(model, {"start": START, "snapshot": SNAPSHOT}, measure)
    assert (left.origin, left.alpha) == ("start", 0.5)


def test_what_is_learned_is_a_share_of_each_gain_and_a_task_without_one_does_not_count() -> None:
    start = {"law": {"a": 0.0, "b": 0.5}, "pets": {"a": 0.5}, "idle": {"a": 1.0}}
    end = {"law": {"a": 1.0, "b": 0.5}, "pets": {"a": 1.0}, "idle": {"a": 0.0}, "old": {"a": 0.0}}
    now = {"law": {"a": 0.5, "b": 0.5}, "pets": {"a": 1.0}, "idle": {"a": 0.5}, "old": {"a": 1.0}}
    assert learned_at(now, start, end) == 0.75  # of 0.5 in law and 1 in pets
    assert learned_at(end, start, end) == 1.0
    assert learned_at(now, {"idle": start["idle"]}, end) == 0.0
