from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch

from forgetless.methods.base import Method
from forgetless.methods.compose import Compose
from forgetless.methods.l2sp import L2SP
from forgetless.methods.lora import LoRA
from tests.methods.pulling import moved, pulled
from tests.training.build import (
    Weights,
    colour_task,
    distance,
    fresh,
    one_stage_a_task,
    settings,
    train,
    weights,
    workbench,
)

FIRST, SECOND = one_stage_a_task([colour_task("first", 0), colour_task("second", 1)])


def started(method: L2SP, loaded: Any, stage: Any) -> None:
    here = workbench(loaded, stage)
    method.start_stage(here, here.new)


@pytest.mark.parametrize("anchor", ["previous", "base"])
def test_gradient_of_the_penalty_is_strength_times_drift_from_the_anchor(
    anchor: str, tiny_model: Path
) -> None:
    """In the second stage, before which the weights have moved."""
    method = L2SP(strength=3.0, anchor=anchor)
    loaded = fresh(tiny_model)
    anchors = {"base": weights(loaded.model)}
    started(method, loaded, FIRST)
    moved(loaded.model)
    anchors["previous"] = weights(loaded.model)
    again = L2SP(strength=3.0, anchor=anchor)  # as a run that goes on from disk
    again.restore(method.state())
    for one in (method, again):
        started(one, loaded, SECOND)
    moved(loaded.model)
    for one in (method, again):
        found = pulled(one, loaded.model)
        assert found.keys() == weights(loaded.model).keys()
        for name, now in weights(loaded.model).items():
            torch.testing.assert_close(found[name], 3.0 * (now - anchors[anchor][name]))


def test_weight_that_is_first_trained_later_is_pulled_to_what_it_was_untouched(
    tiny_model: Path,
) -> None:
    """As where the weights that are trained are drawn anew in every stage."""
    method, loaded = L2SP(strength=3.0, anchor="base"), fresh(tiny_model)
    norm = loaded.model.model.norm.weight
    untouched = weights(loaded.model)
    norm.requires_grad_(False)
    started(method, loaded, FIRST)
    moved(loaded.model)
    norm.requires_grad_(True)
    started(method, loaded, SECOND)
    moved(loaded.model)
    found = pulled(method, loaded.model)
    for name, now in weights(loaded.model).items():
        torch.testing.assert_close(found[name], 3.0 * (now - untouched[name]))


@pytest.mark.parametrize("anchor", ["previous", "base"])
def test_pull_on_an_adapter_is_the_gradient_of_the_penalty_on_the_product(
    anchor: str, tiny_model: Path, tmp_path: Path
) -> None:
    method = L2SP(strength=3.0, anchor=anchor)
    loaded = fresh(tiny_model)
    methods = Compose([LoRA(rank=2, alpha=6), method])
    train(loaded, FIRST, settings(), tmp_path, methods)
    layers = {n: m for n, m in loaded.model.named_modules() if hasattr(m, "get_delta_weight")}

    def products() -> Weights:
        return {name: layer.get_delta_weight("default") for name, layer in layers.items()}

    share = 1 if anchor == "previous" else 0  # untrained, the product is 0
    before = {name: share * product.detach() for name, product in products().items()}
    again = L2SP(strength=3.0, anchor=anchor)
    again.restore(method.state())
    for one in (method, again):
        started(one, loaded, SECOND)
    moved(loaded.model)
    penalty = sum(
        (3.0 / 2 * ((product - before[name]) ** 2).sum() for name, product in products().items()),
        start=torch.zeros(()),
    )
    trained = {name: p for name, p in loaded.model.named_parameters() if p.requires_grad}
    expected = torch.autograd.grad(penalty, list(trained.values()))
    for one in (method, again):
        found = pulled(one, loaded.model)
        for name, gradient in zip(trained, expected, strict=True):
            torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-4)


def test_adapter_that_starts_with_a_product_is_pulled_back_to_it(tiny_model: Path) -> None:
    """As some ways of putting it on do; a run that goes on from disk knows it as well."""
    loaded = fresh(tiny_model)
    config = peft.LoraConfig(target_modules=["q_proj"], init_lora_weights=False)
    loaded.model = peft.get_peft_model(loaded.model, config)
    method, again = L2SP(anchor="base"), L2SP(anchor="base")
    started(method, loaded, FIRST)
    again.restore(method.state())
    for one in (method, again):
        started(one, loaded, SECOND)
        assert one.pull(loaded.model) == 0
    moved(loaded.model)
    assert method.pull(loaded.model) == again.pull(loaded.model) > 0


def test_weights_stay_near_their_start_the_more_the_stronger(
    tiny_model: Path, tmp_path: Path
) -> None:
    """From the first stage on."""
    start = weights(fresh(tiny_model).model)

    def way(strength: float) -> float:
        loaded = fresh(tiny_model)
        methods = Compose([L2SP(strength=strength)])
        config = settings(steps=8, warmup=0, learning_rate=1e-3)
        train(loaded, FIRST, config, tmp_path / f"{strength:g}", methods)
        return distance(weights(loaded.model), start)

    ways = [way(strength) for strength in (0, 0.1, 1, 1000)]
    assert ways == sorted(ways, reverse=True)
    assert ways[3] < 0.25 * ways[0]


def test_it_keeps_nothing_but_the_untouched_model_where_that_is_the_anchor(
    tiny_model: Path,
) -> None:
    previous, base, off = L2SP(), L2SP(anchor="base"), L2SP(anchor="base", strength=0)
    loaded = fresh(tiny_model)
    for stage in (FIRST, SECOND):
        for method in (previous, base, off):
            started(method, loaded, stage)
        moved(loaded.model)
        assert previous.state().tensors == off.state().tensors == {}
        kept = base.state().part("anchor")
        assert distance(kept, weights(fresh(tiny_model).model)) == 0


def test_it_acts_in_every_stage_unless_its_strength_is_zero() -> None:
    assert [L2SP().acts_in(stage) for stage in (FIRST, SECOND)] == [True, True]
    assert not L2SP(strength=0).acts_in(SECOND)


def test_stages_trained_elsewhere_will_do_only_if_the_untouched_model_is_not_needed() -> None:
    found: list[Method[Any]] = [L2SP(), L2SP(anchor="base"), L2SP(anchor="base", strength=0)]
    assert [method.must_train for method in found] == [False, True, False]
