"""The pull on products of adapters, against the derivative of the written-out penalty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch

from forgetless.errors import ModelError
from forgetless.methods import EWC, L2SP
from forgetless.methods.compose import Compose
from forgetless.methods.parts.pulls import (
    Product,
    pull_products,
    pull_towards,
    trained_products,
    trained_weights,
)
from tests.training.build import adapt, colour_task, fresh, one_stage_a_task, with_learned_positions

STRENGTH = 3.0


def product(seed: int, scale: float = 0.5, transposed: bool = False) -> Product:
    generator = torch.Generator().manual_seed(seed)
    a = torch.nn.Parameter(torch.randn(2, 5, generator=generator))
    b = torch.nn.Parameter(torch.randn(4, 2, generator=generator))
    return Product(a, b, scale, transposed)


def written_out(now: Product, anchor: torch.Tensor, importance: torch.Tensor) -> None:
    """Backward through strength/2 * sum of importance * (change of the weight - anchor)^2."""
    change = now.scale * now.b @ now.a
    change = change.T if now.transposed else change
    torch.autograd.backward(STRENGTH / 2 * (importance * (change - anchor) ** 2).sum())


def gradients(of: Product) -> list[torch.Tensor]:
    assert of.a.grad is not None
    assert of.b.grad is not None
    return [of.a.grad, of.b.grad]


def close(found: list[torch.Tensor], wanted: list[torch.Tensor]) -> None:
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dense", [False, True])
def test_weighted_pull_is_the_gradient_of_the_written_out_penalty(
    transposed: bool, dense: bool
) -> None:
    ours, theirs = product(0, transposed=transposed), product(0, transposed=transposed)
    former = product(1, scale=0.7, transposed=transposed)
    importance = torch.rand(former.dense().shape)
    anchors: dict[str, Any] = {"w": former.dense() if dense else former}
    square = pull_products({"w": ours}, STRENGTH, anchors, {"w": importance})
    written_out(theirs, former.dense(), importance)
    close(gradients(ours), gradients(theirs))
    assert square == pytest.approx(sum(float(g.square().sum()) for g in gradients(theirs)))


@pytest.mark.parametrize("transposed", [False, True])
def test_unweighted_pull_is_the_gradient_of_the_written_out_penalty(transposed: bool) -> None:
    ours, theirs = product(0, transposed=transposed), product(0, transposed=transposed)
    former = product(1, scale=0.7, transposed=transposed)
    square = pull_products({"w": ours}, STRENGTH, {"w": former})
    written_out(theirs, former.dense(), torch.ones(()))
    close(gradients(ours), gradients(theirs))
    assert square == pytest.approx(sum(float(g.square().sum()) for g in gradients(theirs)))


def test_pull_on_products_is_added_to_the_gradient_that_is_there() -> None:
    first, second = product(0), product(0)
    second.a.grad, second.b.grad = torch.ones_like(second.a), torch.ones_like(second.b)
    for found in (first, second):
        pull_products({"w": found}, STRENGTH, {"w": product(1)})
    close([g + 1 for g in gradients(first)], gradients(second))


def test_same_product_of_other_factors_is_not_pulled() -> None:
    now = product(0)
    turned = Product(-2 * now.a.detach(), -now.b.detach() / 2, now.scale)
    for importances in (None, {"w": torch.ones(4, 5)}):
        pull_products({"w": now}, STRENGTH, {"w": turned}, importances)
        assert all(float(g.abs().max()) < 1e-5 for g in gradients(now))


@pytest.mark.parametrize("weighted", [False, True])
def test_product_that_has_not_moved_is_not_pulled_at_all(weighted: bool) -> None:
    now = product(0)
    importances = {"w": torch.rand(4, 5)} if weighted else None
    assert pull_products({"w": now}, STRENGTH, {"w": now.copy()}, importances) == 0
    assert all(not g.any() for g in gradients(now))


def test_factor_that_is_not_trained_gets_no_gradient() -> None:
    now = product(0)
    now.a.requires_grad_(False)
    square = pull_products({"w": now}, STRENGTH, {"w": product(1)})
    assert now.a.grad is None
    assert now.b.grad is not None
    assert square == pytest.approx(float(now.b.grad.square().sum()))


def test_copy_of_a_product_stays_where_it_was() -> None:
    now = product(0)
    copied, was = now.copy(), now.dense()
    with torch.no_grad():
        now.a.add_(1)
    assert copied.dense().equal(was)
    assert not now.dense().equal(was)


def test_half_precision_weight_is_pulled_by_importances_in_single() -> None:
    model = torch.nn.Linear(1, 1, bias=False, dtype=torch.bfloat16)
    with torch.no_grad():
        model.weight.fill_(3.0)
    for _ in range(2):  # makes a gradient, then adds to it
        pull_towards(model, 2.0, {"weight": torch.tensor([[1.0]])}, {"weight": torch.ones(1, 1)})
    assert model.weight.grad is not None
    assert model.weight.grad.dtype == torch.bfloat16
    assert model.weight.grad.item() == 8.0


def test_weight_without_an_importance_is_not_pulled() -> None:
    model = torch.nn.Linear(1, 1)
    anchors = {name: torch.full_like(p, 9.0) for name, p in model.named_parameters()}
    pull_towards(model, 1.0, anchors, {"bias": torch.ones(1)})
    assert model.weight.grad is None
    assert model.bias.grad is not None


def lora(model: Any, **options: Any) -> Any:
    settings: dict[str, Any] = {"r": 2, "lora_alpha": 6, "target_modules": "all-linear"}
    return peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **settings | options))


@pytest.mark.parametrize(("strength", "anchored"), [(0.0, "weight"), (STRENGTH, "another")])
def test_a_pull_of_nothing_has_no_norm_and_leaves_no_gradient(
    strength: float, anchored: str
) -> None:
    model = torch.nn.Linear(2, 3)
    anchors = {anchored: torch.zeros(3, 2)}
    assert pull_towards(model, strength, anchors) == 0.0
    assert pull_towards(model, strength, anchors, {"bias": torch.ones(3)}) == 0.0
    assert model.weight.grad is None


def test_products_of_an_adapted_model_are_what_peft_merges(tiny_model: Path) -> None:
    model = lora(fresh(tiny_model).model, init_lora_weights=False, use_rslora=True)
    before = {name: value.clone() for name, value in model.named_parameters()}
    products = trained_products(model)
    assert len(products) == 14
    model.merge_adapter()
    for name, found in products.items():
        torch.testing.assert_close(model.get_parameter(name) - before[name], found.dense())


def test_products_of_layers_that_keep_their_weight_transposed(tiny_model: Path) -> None:
    loaded = with_learned_positions(fresh(tiny_model).tokenizer)
    model = lora(loaded.model, init_lora_weights=False, fan_in_fan_out=True)
    before = {name: value.clone() for name, value in model.named_parameters()}
    products = trained_products(model)
    assert {model.get_parameter(name).shape for name in products} >= {(32, 96), (32, 128)}
    model.merge_adapter()
    for name, found in products.items():
        torch.testing.assert_close(model.get_parameter(name) - before[name], found.dense())


def test_whole_model_has_weights_and_no_products(tiny_model: Path) -> None:
    model = fresh(tiny_model).model
    model.lm_head.weight.requires_grad_(False)  # tied to the embeddings
    assert trained_products(model) == {}
    assert set(trained_weights(model)) == {
        name for name, _ in model.named_parameters() if "embed" not in name
    }


def test_weights_beside_an_adapter_are_pulled_apart_from_it(tiny_model: Path) -> None:
    model = lora(fresh(tiny_model).model, modules_to_save=["model.norm"], target_modules=["q_proj"])
    found = trained_weights(model, trained_products(model))
    assert list(found) == ["base_model.model.model.norm.modules_to_save.default.weight"]


def test_frozen_adapter_is_no_trained_product(tiny_model: Path) -> None:
    model = lora(fresh(tiny_model).model)
    model.requires_grad_(False)
    assert trained_products(model) == {}


@pytest.mark.parametrize(
    "options",
    [{"use_dora": True}, {"alora_invocation_tokens": [1]},
     {"lora_bias": True, "target_modules": ["c_attn"], "fan_in_fan_out": True},
     {"target_modules": ["wte"]}],
    ids=["magnitudes", "variant", "bias", "embeddings"],
)  # fmt: skip
def test_adapter_that_is_more_than_a_product_is_refused_with_what_to_do(
    options: dict[str, Any], tiny_model: Path
) -> None:
    loaded = fresh(tiny_model)
    if "target_modules" in options:
        loaded = with_learned_positions(loaded.tokenizer)
    model = lora(loaded.model, **options)
    with pytest.raises(ModelError, match="its adapter does not just add a product") as caught:
        trained_products(model)
    assert caught.value.fix == "use plain LoRA on linear layers, or another method"


def test_adapter_on_several_matrices_at_once_is_refused() -> None:
    class Experts(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(3, 4, 5))

    config = peft.LoraConfig(target_modules=[], target_parameters=["0.weight"], r=2)
    model = peft.get_peft_model(torch.nn.Sequential(Experts()), config)
    with pytest.raises(ModelError, match="its adapter does not just add a product"):
        trained_products(model)


@pytest.mark.parametrize("method", [EWC, L2SP])
def test_such_an_adapter_is_refused_before_the_first_stage_is_trained(
    method: type[EWC] | type[L2SP], tiny_model: Path
) -> None:
    """Shapes are enough for it, so that a dry run refuses it as well."""
    model = lora(fresh(tiny_model).model.to("meta"), use_dora=True)
    first, _ = one_stage_a_task([colour_task("first"), colour_task("second")])
    with pytest.raises(ModelError, match="its adapter does not just add a product"):
        adapt(Compose([method()]), model, first)
    adapt(Compose([method(strength=0)]), model, first)
