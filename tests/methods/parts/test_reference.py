"""Other values for a while: the model is then as it was, bit for bit and object for object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from forgetless.methods.parts.reference import trained_values, with_values
from tests.training.build import fresh, weights

IDS = torch.tensor([list(b"colour 0-3?")])


def moved(model: Any) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))


def test_model_predicts_with_the_other_values_meanwhile(tiny_model: Path) -> None:
    """The head is tied to the embedding: one of the names stands for both."""
    model = fresh(tiny_model).model
    before = model(IDS).logits.detach()
    values = trained_values(model)
    assert "lm_head.weight" not in values
    moved(model)
    assert not model(IDS).logits.equal(before)
    with with_values(model, values):
        logits = model(IDS).logits
    assert logits.equal(before)
    assert not logits.requires_grad


def test_copies_are_of_what_is_trained_and_do_not_change_with_it(tiny_model: Path) -> None:
    model = fresh(tiny_model).model
    model.model.embed_tokens.weight.requires_grad_(False)
    start = weights(model)
    values = trained_values(model)
    assert values.keys() == start.keys() - {"model.embed_tokens.weight"}
    moved(model)
    assert all(value.equal(start[name]) for name, value in values.items())


@pytest.mark.parametrize("fails", [False, True])
def test_model_is_put_back_whatever_happens(tiny_model: Path, fails: bool) -> None:
    model = fresh(tiny_model).model.train()
    model.model.layers[0].eval()  # a part that someone keeps in evaluation mode
    values = trained_values(model)
    moved(model)
    objects = dict(model.named_parameters())
    start = weights(model)
    versions = {name: parameter._version for name, parameter in objects.items()}
    modes = [module.training for module in model.modules()]

    def look() -> None:
        with with_values(model, values):
            assert not any(module.training for module in model.modules())
            assert not torch.is_grad_enabled()
            if fails:
                raise RuntimeError("in the middle")

    if fails:
        with pytest.raises(RuntimeError, match="in the middle"):
            look()
    else:
        look()
    again = dict(model.named_parameters())
    assert again.keys() == objects.keys()
    assert all(again[name] is objects[name] for name in objects)
    assert all(parameter.equal(start[name]) for name, parameter in again.items())
    assert {name: parameter._version for name, parameter in again.items()} == versions
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert [module.training for module in model.modules()] == modes
    assert torch.is_grad_enabled()


def test_graph_built_before_has_the_gradient_that_it_would_have_had(tiny_model: Path) -> None:
    found = []
    for look in (False, True):
        model = fresh(tiny_model).model
        values = {name: torch.zeros_like(value) for name, value in trained_values(model).items()}
        loss = model(IDS, labels=IDS).loss
        if look:
            with with_values(model, values):
                model(IDS)
        loss.backward()
        found.append({name: p.grad for name, p in model.named_parameters()})
    assert all(found[0][name].equal(found[1][name]) for name in found[0])


def test_autocast_does_not_take_one_for_the_other(tiny_model: Path) -> None:
    """It remembers the bfloat16 copy of every parameter for as long as it lasts."""
    model = fresh(tiny_model).model
    values = trained_values(model)
    with torch.autocast("cpu", torch.bfloat16):
        before = model(IDS).logits.detach()
    moved(model)
    with torch.autocast("cpu", torch.bfloat16):
        student = model(IDS).logits
        with with_values(model, values):
            assert model(IDS).logits.equal(before)
        again = model(IDS).logits
        assert again.equal(student)
        again.float().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
