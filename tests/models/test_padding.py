"""Which rows are read side by side."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

from forgetless.models.generation import continuations
from forgetless.models.padding import side_by_side
from tests.models.test_tree import ROTARY, Blind, build
from tests.training.build import forward_passes

MAMBA = {"vocab_size": 261, "hidden_size": 32, "num_hidden_layers": 2, "initializer_range": 0.3}


def bart() -> Any:
    """A decoder that counts positions from where the padding begins."""
    return build(
        "Bart", vocab_size=261, d_model=32, encoder_layers=1, encoder_ffn_dim=64, decoder_layers=1,
        decoder_attention_heads=2, decoder_ffn_dim=64, max_position_embeddings=256, init_std=0.3,
        is_decoder=True, is_encoder_decoder=False, dropout=0.0,
    )  # fmt: skip


def test_rows_of_any_length_are_read_side_by_side_where_padding_is_not_read() -> None:
    for model in (build("Llama", **ROTARY), build("Mamba", **MAMBA)):
        for dtype in (torch.float32, torch.bfloat16):
            assert list(side_by_side(model.to(dtype), [3, 9, 3, 1])) == [[0, 1, 2, 3]]


def test_only_rows_of_one_length_are_read_side_by_side_where_padding_is_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for model in (Blind(build("Llama", **ROTARY)), bart()):
        with caplog.at_level(logging.INFO, logger="forgetless"):
            assert list(side_by_side(model, [3, 3])) == [[0, 1]]
            assert caplog.messages == []  # nothing to be tried
            assert list(side_by_side(model, [3, 9, 3, 1])) == [[1], [0, 2], [3]]
            assert list(side_by_side(model, [3, 9])) == [[1], [0]]
        (line,) = caplog.messages
        assert line.startswith("only rows of one length are read side by side: padding makes a row")
        caplog.clear()


def test_prompts_are_continued_as_each_alone_where_padding_is_read() -> None:
    model = bart()
    prompts = [[65, 66, 67], [70], [80, 81, 82, 83, 84, 85], [68, 66, 67]]
    alone = [continuations(model, [prompt], 5, [])[0] for prompt in prompts]
    for size in (None, 3):
        with forward_passes(model) as passed:
            assert continuations(model, prompts, 5, [], size=size) == alone
    assert passed == [1] * 5 + [2] * 5 + [1] * 5
