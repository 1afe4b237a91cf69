from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch

from forgetless.models.forward import (
    evaluation_mode,
    last_hidden_states,
    logits_at,
    only_asked,
    pad_left,
    pad_like,
)
from tests.training.build import load, with_learned_positions

SEQUENCES = [[5, 6, 7, 8, 9, 10], [11, 12], [13, 14, 15, 16]]


def test_padding_is_on_the_left_and_positions_count_tokens() -> None:
    padded = pad_left([[5, 6, 7], [8]])
    assert padded.ids.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert padded.mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert padded.positions.tolist() == [[0, 1, 2], [0, 0, 0]]
    assert pad_like(padded, [[1, 2, 3], [4]], -1).tolist() == [[1, 2, 3], [-1, -1, 4]]


def by_hand(model: Any) -> list[torch.Tensor]:
    """All logits of each sequence alone: no padding, no choice of columns."""
    with torch.no_grad():
        return [model(torch.tensor([sequence])).logits[0] for sequence in SEQUENCES]


class WholeHead(torch.nn.Module):
    """A model whose forward cannot leave the head out, and takes no positions."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, input_ids: Any, attention_mask: Any, use_cache: bool) -> Any:
        positions = (attention_mask.cumsum(1) - 1).clamp(min=0)
        return self.inner(input_ids, attention_mask, position_ids=positions, use_cache=use_cache)


@pytest.mark.parametrize("kind", ["plain", "adapter", "whole head", "learned positions"])
def test_logits_at_some_columns_are_those_of_each_sequence_alone(
    kind: str, tiny_model: Path
) -> None:
    model = load(tiny_model).model
    if kind == "adapter":
        torch.manual_seed(0)
        config = peft.LoraConfig(target_modules="all-linear", init_lora_weights=False)
        model = peft.get_peft_model(model, config).eval()
    elif kind == "learned positions":
        model = with_learned_positions(load(tiny_model).tokenizer).model
    elif kind == "whole head":
        model = WholeHead(model)
    expected = by_hand(model.inner if kind == "whole head" else model)
    padded = pad_left(SEQUENCES)
    wanted = torch.tensor([2, 4, 5])
    with torch.no_grad():
        logits = logits_at(model, padded.ids, padded.mask, padded.positions, wanted)
    assert logits.shape == (3, 3, 261)
    compared = 0
    for row, sequence in enumerate(SEQUENCES):
        for place, column in enumerate(wanted.tolist()):
            own = column - (6 - len(sequence))  # the column without the padding
            if own >= 0:
                torch.testing.assert_close(
                    logits[row, place], expected[row][own], rtol=1e-4, atol=1e-5
                )
                compared += 1
    assert compared == 3 + 2 + 3


def test_gradients_reach_the_weights_through_the_chosen_columns_alone(tiny_model: Path) -> None:
    model = load(tiny_model).model
    padded = pad_left([[1, 2, 3]])
    logits = logits_at(model, padded.ids, padded.mask, padded.positions, torch.tensor([0]))
    torch.autograd.backward(logits.sum())
    gradient = model.model.layers[0].mlp.down_proj.weight.grad.clone()
    model.zero_grad()
    model(torch.tensor([[1, 2, 3]])).logits[0, 0].sum().backward()
    torch.testing.assert_close(gradient, model.model.layers[0].mlp.down_proj.weight.grad)


def test_head_is_left_out_where_no_logit_is_wanted(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head sees as many positions as columns are wanted, not all."""
    model = load(tiny_model).model
    seen: list[tuple[int, ...]] = []
    model.lm_head.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape)))
    padded = pad_left(SEQUENCES)
    logits_at(model, padded.ids, padded.mask, padded.positions, torch.tensor([4, 5]))
    assert seen == [(3, 2, 261)]


@pytest.mark.parametrize("kind", ["rotary", "learned positions", "adapted"])
def test_last_hidden_states_are_what_the_head_makes_logits_of(kind: str, tiny_model: Path) -> None:
    loaded = load(tiny_model)
    model = loaded.model
    if kind == "learned positions":
        model = with_learned_positions(loaded.tokenizer).model
    head = model.lm_head
    if kind == "adapted":
        config = peft.LoraConfig(target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        model = peft.get_peft_model(model, config).eval()
    padded = pad_left(SEQUENCES)
    with torch.no_grad():
        states = last_hidden_states(model, padded.ids, padded.mask, padded.positions)
        logits = head(states)
    for row, alone in enumerate(by_hand(model)):
        torch.testing.assert_close(logits[row, -len(alone) :], alone, rtol=1e-4, atol=1e-4)


def test_evaluation_mode_is_for_all_modules_and_leaves_each_as_it_was() -> None:
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Dropout())
    model[0].eval()
    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == [True, False, True]


def test_whatever_a_model_keeps_while_it_is_asked_lets_gradients_through_afterwards(
    tiny_model: Path,
) -> None:
    model = load(tiny_model).model
    norm = model.model.norm
    shared = norm.lengths = model.model.lengths = {}
    with only_asked(model), torch.inference_mode():
        norm.table = torch.ones(2)
        norm.register_buffer("mask", torch.ones(2))
        norm.angles = (torch.ones(2), torch.ones(2))
        shared[8] = [(torch.ones(2), torch.ones(2))]
    assert norm.lengths is model.model.lengths is shared
    kept = [norm.table, norm.mask, *norm.angles, *shared[8][0]]
    assert [value.is_inference() for value in kept] == [False] * 6
    assert all(value.equal(torch.ones(2)) for value in kept)
