"""What is made, and refused, of a model that processes are to share.

That such training comes to the same is in tests/integration: it takes several processes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import pytest
import torch

from forgetless.errors import ModelError
from forgetless.launching import Sharding
from forgetless.methods.compose import Compose
from forgetless.training import sharding
from forgetless.training.zero import engine_told_of, for_the_engine
from tests.training.build import (
    colour_task,
    differing,
    fresh,
    one_stage_a_task,
    settings,
    train,
    weights,
)


def test_weights_of_different_types_are_refused_with_what_makes_them_one(tiny_model: Path) -> None:
    model = fresh(tiny_model).model
    model.model.norm.to(torch.bfloat16)
    with pytest.raises(ModelError) as caught:
        sharding.as_trained(model, Compose(), "FSDP2").__enter__()
    assert caught.value.message == (
        "LlamaForCausalLM: trains weights of bfloat16 and float32, and sharded weights must be of "
        "one type"
    )
    assert caught.value.fix == "model: {name: ..., dtype: float32}"


def test_other_weights_than_float32_are_refused_under_deepspeed(tiny_model: Path) -> None:
    model = fresh(tiny_model).model.to(torch.bfloat16)
    with pytest.raises(ModelError) as caught:
        sharding.as_trained(model, Compose(), "ZeRO 1").__enter__()
    assert caught.value.message == (
        "LlamaForCausalLM: trains weights of bfloat16, and a run with DeepSpeed trains float32 "
        "alone"
    )
    assert caught.value.fix == "model: {name: ..., dtype: float32}"
    for parameter in model.parameters():
        parameter.requires_grad_(False)  # as under an adapter
    for_the_engine(model, bfloat16=False)


@pytest.mark.parametrize("wanted", get_args(Sharding))
def test_one_process_shares_nothing(wanted: Sharding, tiny_model: Path, tmp_path: Path) -> None:
    stage = one_stage_a_task([colour_task("colours")])[0]
    found = [
        weights(train(fresh(tiny_model), stage, settings(steps=2), tmp_path, sharding=way).model)
        for way in (None, wanted)
    ]
    assert differing(*found) == []


def test_the_engine_is_given_a_twin_with_the_same_weights_in_memory(tiny_model: Path) -> None:
    model = fresh(tiny_model).model.eval()
    twin = for_the_engine(model, bfloat16=True)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        whole, half = model(input_ids=ids).logits, twin(input_ids=ids).logits
        with torch.autocast("cpu", torch.bfloat16):
            expected = model(input_ids=ids).logits.float()
        assert half.equal(expected)
        assert not half.equal(whole)
        assert half.dtype == torch.float32
        for (name, mine), its in zip(model.named_parameters(), twin.parameters(), strict=True):
            assert mine is not its, name
            mine.add_(1)
            assert mine.equal(its), name
    tied = {id(p) for p in twin.state_dict(keep_vars=True).values()}
    assert len(tied) == len({id(p) for p in model.state_dict(keep_vars=True).values()})


def test_transformers_see_a_launcher_that_wants_deepspeed_for_as_long_as_it_trains(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "7")  # the plan's counts
    before = dict(os.environ)
    with engine_told_of("ZeRO 1"):
        assert os.environ["ACCELERATE_USE_DEEPSPEED"] == "true"
        assert os.environ["ACCELERATE_DEEPSPEED_ZERO_STAGE"] == "1"
        assert os.environ["ACCELERATE_GRADIENT_ACCUMULATION_STEPS"] == "auto"
    assert dict(os.environ) == before
    with engine_told_of("FSDP2"):
        assert dict(os.environ) == before
