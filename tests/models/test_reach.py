"""What a model can read at all."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import BloomConfig, BloomForCausalLM, GPT2Config, GPT2LMHeadModel

from forgetless.models.reach import ENDLESS, Reach
from tests.tiny import build_tokenizer
from tests.training.build import fresh


def test_the_configuration_names_the_limits(tiny_model: Path) -> None:
    loaded = fresh(tiny_model)
    assert Reach.of(loaded.model) == (256, len(loaded.tokenizer))
    endless = BloomForCausalLM(BloomConfig(vocab_size=70, hidden_size=4, n_layer=1, n_head=1))
    assert Reach.of(endless) == (ENDLESS, 70)


def test_what_is_refused_is_what_the_model_fails_on() -> None:
    """Learned positions end where ``context`` says, and weights where ``vocabulary`` does."""
    model = GPT2LMHeadModel(GPT2Config(vocab_size=70, n_positions=8, n_embd=4, n_layer=1, n_head=1))
    reach, tokenizer = Reach.of(model), build_tokenizer()
    for ids in ([69] * 8, [0] * 9, [0, 70]):
        try:
            model(torch.tensor([ids]))
        except IndexError:
            read = False
        else:
            read = True
        assert (reach.obstacle(ids, tokenizer) is None) == read


def test_weights_that_the_configuration_does_not_tell_of_are_counted() -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=70, n_embd=4, n_layer=1, n_head=1))
    model.resize_token_embeddings(80)
    model.config.vocab_size = 70
    assert Reach.of(model).vocabulary == 80
    model.set_output_embeddings(torch.nn.Linear(4, 75, bias=False))  # read, and never likely
    assert Reach.of(model).vocabulary == 75


def test_the_reason_tells_what_is_too_much() -> None:
    reach, tokenizer = Reach(8, 70), build_tokenizer()
    assert reach.obstacle([1] * 5, tokenizer, more=3) is None
    assert reach.obstacle([1] * 5, tokenizer, more=4) == (
        "9 tokens are more than the model's context of 8"
    )
    assert reach.obstacle([1, 256, 3], tokenizer) == (
        "the tokenizer's token '<|end|>' has number 256, and the model has weights for those below "
        "70"
    )
    assert reach.obstacle([1, 256, 3], None) == (
        "a token has number 256, and the model has weights for those below 70"
    )
    assert reach.obstacle([], tokenizer) is None
