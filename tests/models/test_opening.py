"""One base for its adapters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import peft
import pytest
import torch

from forgetless.models.load import LoadedModel, load_model
from forgetless.models.opening import AdapterRack, InMemory, OneModel, leaves_base_alone
from forgetless.plan import ModelConfig
from tests.training.build import fresh


@pytest.fixture(scope="session")
def adapters(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two adapters of the tiny model that answer differently."""
    folders = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        loaded = fresh(tiny_model)
        config = peft.LoraConfig(target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        model = peft.get_peft_model(loaded.model, config)
        folder = tmp_path_factory.mktemp(f"adapter{seed}")
        model.save_pretrained(str(folder))
        text = (folder / "adapter_config.json").read_text()
        settings = json.loads(text) | {"base_model_name_or_path": str(tiny_model)}
        (folder / "adapter_config.json").write_text(json.dumps(settings))
        folders.append(folder)
    return folders


def logits(loaded: LoadedModel) -> torch.Tensor:
    with torch.inference_mode():
        return torch.as_tensor(loaded.model(input_ids=torch.tensor([[5, 6, 7]])).logits)


def test_every_adapter_of_a_rack_answers_as_if_loaded_alone(
    tiny_model: Path, adapters: list[Path]
) -> None:
    rack = AdapterRack(ModelConfig(name=str(tiny_model)), "cpu")
    wanted: list[Path | None] = [None, *adapters, adapters[0], None]
    for adapter in wanted:
        alone = load_model(ModelConfig(name=str(adapter or tiny_model)))
        with rack.wearing(adapter).use() as loaded:
            torch.testing.assert_close(logits(loaded), logits(alone), atol=1e-5, rtol=1e-5)


def test_the_bare_base_of_a_rack_is_the_base_bit_for_bit(
    tiny_model: Path, adapters: list[Path]
) -> None:
    rack = AdapterRack(ModelConfig(name=str(tiny_model)), "cpu")
    with rack.wearing(adapters[0]).use():
        pass
    with rack.wearing(None).use() as bare:
        assert torch.equal(logits(bare), logits(load_model(ModelConfig(name=str(tiny_model)))))


def test_a_rack_keeps_one_model_until_its_last_user_is_done(
    tiny_model: Path, adapters: list[Path]
) -> None:
    rack = AdapterRack(ModelConfig(name=str(tiny_model)), "cpu")
    bare, worn = rack.wearing(None), rack.wearing(adapters[0])
    with bare.use() as first:
        base = first.model
    bare.close()
    with worn.use() as second:
        assert second.model.get_base_model() is base
    worn.close()
    again = rack.wearing(None)
    with again.use() as third:
        assert third.model is not base


def test_a_model_is_loaded_once_until_closed(tiny_model: Path) -> None:
    opening = OneModel(ModelConfig(name=str(tiny_model)), "cpu")
    with opening.use() as first, opening.use() as second:
        assert first is second
    opening.close()
    with opening.use() as third:
        assert third is not first


def test_a_model_in_memory_outlives_its_closing(tiny_model: Path) -> None:
    held = fresh(tiny_model)
    opening = InMemory(held.model, held.tokenizer)
    opening.close()
    with opening.use() as loaded:
        assert loaded.model is held.model


def test_a_model_in_memory_is_asked_without_dropout_and_stays_in_training(
    tiny_model: Path,
) -> None:
    held = fresh(tiny_model)
    held.model.train()
    with InMemory(held.model, held.tokenizer).use() as loaded:
        assert not any(module.training for module in loaded.model.modules())
    assert all(module.training for module in held.model.modules())


@pytest.mark.parametrize(
    ("settings", "alone"),
    [
        ({}, True),
        ({"init_lora_weights": "gaussian"}, True),
        ({"init_lora_weights": "pissa"}, False),
        ({"init_lora_weights": "pissa_niter_4"}, False),
        ({"init_lora_weights": "olora"}, False),
        ({"init_lora_weights": "corda"}, False),
        ({"bias": "all"}, False),
        ({"layer_replication": [[0, 2], [0, 2]]}, False),
        ({"peft_type": "OSF"}, False),
    ],
)
def test_only_adapters_that_leave_the_base_alone_share_it(
    tmp_path: Path, settings: dict[str, Any], alone: bool
) -> None:
    config = {"peft_type": "LORA", "bias": "none", "init_lora_weights": True} | settings
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    assert leaves_base_alone(tmp_path) is alone
