"""What is refused of a model whose weights are to be put in parts.

That training in parts comes to the same is in tests/integration: it takes several processes.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from forgetless.errors import ModelError
from forgetless.methods.compose import Compose
from forgetless.training import sharding
from tests.training.build import fresh


def test_weights_of_different_types_are_refused_with_what_makes_them_one(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharding, "count", lambda: 2)
    model = fresh(tiny_model).model
    model.model.norm.to(torch.bfloat16)
    with pytest.raises(ModelError) as caught:
        sharding.as_trained(model, Compose(), sharded=True).__enter__()
    assert caught.value.message == (
        "LlamaForCausalLM: trains weights of bfloat16 and float32, and sharded weights must be of "
        "one type"
    )
    assert caught.value.fix == "model: {name: ..., dtype: float32}"


def test_one_process_trains_the_model_itself(tiny_model: Path) -> None:
    model = fresh(tiny_model).model
    with sharding.as_trained(model, Compose(), sharded=True) as trained:
        assert trained is model
