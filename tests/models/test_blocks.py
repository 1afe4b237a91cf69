"""Weights in blocks give what the layers give, and leave no trace."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import Linear, Module, ModuleList, Sequential
from transformers import LlamaConfig, LlamaForCausalLM, StoppingCriteriaList

from forgetless.models import blocks, generation
from forgetless.models.blocks import weights_in_blocks
from forgetless.models.generation import continuations


@pytest.fixture(autouse=True)
def small_models_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LEAST", 1)


def laid_out(model: Module) -> list[str]:
    return [name for name, module in model.named_modules() if "forward" in vars(module)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 48), (3, 7, 48), (1, 1, 48), (0, 48), (2, 0, 48)])
def test_a_layer_gives_the_same_within_rounding(bias: bool, shape: tuple[int, ...]) -> None:
    layer, inputs = Linear(48, 33, bias=bias), torch.randn(shape)
    with torch.inference_mode():
        wanted = layer(inputs)
        with weights_in_blocks(layer):
            assert laid_out(layer)
            torch.testing.assert_close(layer(inputs), wanted)
            scattered = inputs.movedim(-1, 0).contiguous().movedim(0, -1)
            torch.testing.assert_close(layer(scattered), wanted)
    assert not laid_out(layer)


def test_gradients_and_autocast_go_through_the_layer_itself() -> None:
    layer, inputs = Linear(48, 33), torch.randn(2, 48)
    with weights_in_blocks(layer):
        layer(inputs).sum().backward()
        assert layer.weight.grad is not None
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            assert layer(inputs).dtype == torch.bfloat16
        with torch.no_grad():
            layer.weight.zero_()  # what the blocks do not see
            assert layer(inputs).abs().max() > layer.bias.abs().max()


def test_other_layers_stay_as_they_are() -> None:
    class Own(Linear):
        pass

    hooked = Linear(8, 8)
    vars(hooked)["forward"] = lambda inputs: inputs
    model = ModuleList(
        [Own(8, 8), Linear(8, 8).to(torch.bfloat16), Linear(8, 8, device="meta"), hooked]
    )
    with weights_in_blocks(model):
        assert laid_out(model) == ["3"]
    assert laid_out(model) == ["3"]


@pytest.mark.parametrize(("least", "most"), [(1 << 20, 1 << 30), (1, 4 * 64 * 2 - 1)])
def test_small_models_and_large_ones_are_left_alone(
    least: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "LEAST", least)
    monkeypatch.setattr(blocks, "MOST", most)
    model = Sequential(Linear(8, 8), Linear(8, 8))
    with weights_in_blocks(model):
        assert not laid_out(model)


def test_without_the_library_nothing_is_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    layer = Linear(8, 8)
    with weights_in_blocks(layer):
        assert not laid_out(layer)


def test_a_fault_within_leaves_no_trace() -> None:
    layer = Linear(8, 8)
    with pytest.raises(ValueError, match="within"), weights_in_blocks(layer):
        raise ValueError("within")
    assert not laid_out(layer)


def test_within_one_another_the_outer_one_counts() -> None:
    layer = Linear(8, 8)
    with weights_in_blocks(layer):
        with weights_in_blocks(layer):
            assert laid_out(layer)
        assert laid_out(layer)
    assert not laid_out(layer)


@pytest.fixture
def model() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2,
        )  # fmt: skip
        return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("by_transformers", [False, True])
def test_a_continuation_lays_weights_out_once_it_goes_on(model: Any, by_transformers: bool) -> None:
    counts: list[int] = []  # of layers in blocks, at each choice
    continuations(
        model, [[1, 2, 3], [4, 5]], 12, [],
        on_logits=lambda *_: counts.append(len(laid_out(model))),
        stopping=StoppingCriteriaList() if by_transformers else None,
    )  # fmt: skip
    before = generation.CHOICES_WORTH_BLOCKS - 1
    assert counts == [0] * before + [15] * (12 - before)  # two layers of seven, and the head
    assert not laid_out(model)
