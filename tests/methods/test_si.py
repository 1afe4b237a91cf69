from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from forgetless.errors import ModelError, PlanError
from forgetless.methods.base import Method
from forgetless.methods.compose import Compose
from forgetless.methods.l2sp import L2SP
from forgetless.methods.lora import LoRA
from forgetless.methods.si import SI
from forgetless.methods.stage import Workbench
from tests.methods.bigram import answer
from tests.methods.probes import NoConfig
from tests.methods.regression import Regression, bench
from tests.training.build import (
    Weights,
    adapt,
    colour_task,
    differing,
    end_stage,
    fresh,
    one_stage_a_task,
    settings,
    train,
    weights,
    workbench,
)

STAGES = one_stage_a_task([colour_task(name, n) for n, name in enumerate(("a", "b", "c"))])
NAME = "head.weight"


class Watch(Method[NoConfig]):
    """Sums up gradient times change by itself, from the gradients that methods are given."""

    name = "watch"
    Config = NoConfig

    def __init__(self) -> None:
        super().__init__(NoConfig())
        self.path: dict[str, torch.Tensor] = {}
        self.gradients: Weights = {}
        self.before: Weights = {}

    def change_gradient(self, model: Any) -> None:
        self.gradients = {n: p.grad.double() for n, p in model.named_parameters()}
        self.before = weights(model)

    def before_step(self, model: Any) -> None:
        pass

    def after_step(self, model: Any) -> None:
        for name, now in weights(model).items():
            share = -self.gradients[name] * (now.double() - self.before[name].double())
            self.path[name] = self.path.get(name, torch.zeros_like(share)) + share


def expected(watch: Watch, start: Weights, end: Weights, damping: float) -> Weights:
    return {
        name: (path.clamp(min=0) / ((end[name] - start[name]).double() ** 2 + damping)).float()
        for name, path in watch.path.items()
    }


def test_importances_are_path_over_squared_way_of_the_unclipped_unpulled_gradient(
    tiny_model: Path, tmp_path: Path
) -> None:
    """Clipping to almost nothing, and a strong pull of another method, leave the gradient as is."""
    loaded = fresh(tiny_model)
    method, watch = SI(damping=1e-4), Watch()
    methods = Compose([method, watch, L2SP(strength=5.0)])
    total: Weights = {}
    for stage in STAGES[:2]:
        start = weights(loaded.model)
        watch.path = {}
        config = settings(max_grad_norm=0.01, weight_decay=0.1, steps=6)
        train(loaded, stage, config, tmp_path / stage.name, methods)
        end_stage(methods, loaded, stage)
        added = expected(watch, start, weights(loaded.model), 1e-4)
        total = {name: value + total.get(name, 0) for name, value in added.items()}
        found = method.state().part("importance")
        assert found.keys() == total.keys()
        for name, value in found.items():
            torch.testing.assert_close(value, total[name], rtol=1e-3, atol=1e-5)
            assert value.any()


def step(method: SI, model: Regression, gradient: torch.Tensor, change: torch.Tensor) -> None:
    """One optimiser step as the trainer makes it, with a known gradient and change."""
    model.head.weight.grad = gradient.clone()
    method.change_gradient(model)
    model.head.weight.grad *= 100  # whatever happens to it afterwards
    method.before_step(model)
    with torch.no_grad():
        model.head.weight += change
    method.after_step(model)


def begun(method: SI, model: Regression, number: int) -> Workbench:
    here = bench(model, [answer(0, 1)], STAGES[number])
    method.start_stage(here, here.new)
    return here


def test_importance_of_one_weight_by_hand() -> None:
    model, method = Regression(), SI(damping=0.5)
    here = begun(method, model, 0)
    one = torch.zeros_like(model.head.weight)
    one[0, 0], one[1, 1] = 1.0, 1.0
    step(method, model, gradient=-3 * one, change=2 * one)  # path 6, way 2
    step(method, model, gradient=1 * one, change=-0.5 * one)  # path 6.5, way 1.5
    method.end_stage(here)
    found = method.state().part("importance")[NAME]
    torch.testing.assert_close(found, one * 6.5 / (1.5**2 + 0.5))


def test_weight_that_raised_the_loss_counts_as_unimportant() -> None:
    model, method = Regression(), SI()
    here = begun(method, model, 0)
    one = torch.ones_like(model.head.weight)
    step(method, model, gradient=one, change=one)
    method.end_stage(here)
    assert not method.state().part("importance")[NAME].any()


def test_weight_without_a_gradient_has_no_share_in_that_step() -> None:
    model, method = Regression(), SI()
    here = begun(method, model, 0)
    one = torch.ones_like(model.head.weight)
    step(method, model, gradient=-one, change=one)
    model.head.weight.grad = None
    method.change_gradient(model)
    with torch.no_grad():
        model.head.weight += 1
    method.after_step(model)
    method.end_stage(here)
    found = method.state().part("importance")[NAME]
    torch.testing.assert_close(found, one / (2**2 + method.config.damping))


def test_gradient_of_the_penalty_is_strength_times_importance_times_drift() -> None:
    model, method = Regression(), SI(strength=3.0)
    here = begun(method, model, 0)
    change = torch.linspace(0.1, 1, 15).view(5, 3)
    step(method, model, gradient=-change, change=change)
    assert method.pull(model) == 0  # the first stage has nothing to keep
    method.end_stage(here)
    importance = method.state().part("importance")[NAME]
    start = model.head.weight.detach().clone()
    begun(method, model, 1)
    with torch.no_grad():
        model.head.weight += 0.3
    model.zero_grad()
    square = method.pull(model)
    assert model.head.weight.grad is not None
    analytic = 3.0 * importance * (model.head.weight.detach() - start)
    torch.testing.assert_close(model.head.weight.grad, analytic)
    assert square == pytest.approx(float(analytic.square().sum()))


def test_path_in_the_middle_of_a_stage_is_saved_and_the_next_stage_begins_anew() -> None:
    model, method = Regression(), SI()
    here = begun(method, model, 0)
    one = torch.ones_like(model.head.weight)
    step(method, model, gradient=-one, change=one)
    again, start = SI(), Regression()
    begun(again, start, 0)  # the model as it was at the stage's start
    again.restore(copy.deepcopy(method.state()))
    with torch.no_grad():
        start.head.weight.copy_(model.head.weight)
    for one_method, its_model in ((method, model), (again, start)):
        step(one_method, its_model, gradient=-2 * one, change=one)
        one_method.end_stage(bench(its_model, [answer(0, 1)], here.stage))
    found, kept = again.state(), method.state()
    assert differing(found.tensors, kept.tensors) == []
    assert list(kept.tensors) == [f"importance/{NAME}"]
    torch.testing.assert_close(kept.tensors[f"importance/{NAME}"], 3 * one / (4 + 1e-3))
    begun(method, model, 1)
    assert not method.state().part("path")[NAME].any()


def test_memory_does_not_grow_with_the_stages() -> None:
    model, method = Regression(), SI()
    sizes = []
    for number in range(3):
        here = begun(method, model, number)
        step(method, model, torch.ones_like(model.head.weight), torch.zeros(()))
        method.end_stage(here)
        sizes.append({name: value.shape for name, value in method.state().tensors.items()})
    assert sizes[0] == sizes[1] == sizes[2]


def test_paths_of_half_precision_weights_are_summed_in_single() -> None:
    model, method = Regression(dtype=torch.bfloat16), SI(damping=1.0)
    with torch.no_grad():
        model.head.weight.zero_()
    here = begun(method, model, 0)
    one = torch.ones_like(model.head.weight)
    for number in range(1000):  # in bfloat16, adding ones ends at 256
        step(
            method, model, gradient=-one if number % 2 else one, change=one if number % 2 else -one
        )
    method.end_stage(here)
    found = method.state().part("importance")[NAME]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.full_like(found, 1000 / (0 + 1)))


def test_first_stage_is_only_watched_and_strength_zero_not_even_that(tiny_model: Path) -> None:
    method, off = SI(), SI(strength=0)
    assert [method.acts_in(stage) for stage in STAGES] == [False, True, True]
    assert [off.acts_in(stage) for stage in STAGES] == [False, False, False]
    assert (method.must_train, off.must_train) == (True, False)
    here = workbench(fresh(tiny_model), STAGES[0])
    off.start_stage(here, here.new)
    off.change_gradient(here.model)
    off.after_step(here.model)
    off.end_stage(here)
    assert off.state().tensors == {}


def test_factors_of_an_adapter_have_no_importances_of_their_own(tiny_model: Path) -> None:
    with pytest.raises(PlanError, match="si and lora cannot be combined"):
        Compose([SI(), LoRA()])
    model = adapt(Compose([LoRA()]), fresh(tiny_model).model, STAGES[0])
    with pytest.raises(ModelError, match="si: importances are of each weight") as caught:
        SI().refuse_model(model)  # as in a trainer that was made with an adapter
    assert caught.value.fix == "merge it first:  model = model.merge_and_unload()"
    SI(strength=0).refuse_model(model)
