"""Which model this is, by content."""

from __future__ import annotations

import shutil
from pathlib import Path

import peft
import torch
from safetensors.torch import load_file, save_file

from forgetless.models.identity import (
    model_identity,
    object_identity,
    template_hash,
    tokenizer_hash,
)
from forgetless.models.load import LoadedModel
from forgetless.models.source import find_model
from forgetless.plan import ModelConfig
from tests.tiny import build_tokenizer
from tests.training.build import fresh


def identity(folder: Path, device: str = "cpu", **settings: str) -> str:
    config = ModelConfig.model_validate({"name": str(folder), **settings})
    return model_identity(config, find_model(config), device)


def test_a_copy_elsewhere_is_the_same_model(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "copy")
    assert identity(tmp_path / "copy") == identity(tiny_model)


def test_weights_overwritten_in_place_are_another_model(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    before = identity(folder)
    file = folder / "model.safetensors"
    weights = load_file(file)
    next(iter(weights.values())).view(-1)[0] += 1
    save_file(weights, file, metadata={"format": "pt"})
    assert identity(folder) != before


def test_code_that_a_model_brings_is_part_of_it(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    code = folder / "modeling_own.py"
    code.write_text("LAYERS = 2\n")
    before = identity(folder)
    code.write_text("LAYERS = 3\n")
    assert identity(folder) != before


def test_dtype_and_device_are_part_of_it(tiny_model: Path) -> None:
    seen = {
        identity(tiny_model),
        identity(tiny_model, dtype="bfloat16"),
        identity(tiny_model, "cuda"),
        identity(tiny_model, attention="eager"),
    }
    assert len(seen) == 4


def test_a_hub_model_whose_commit_is_unknown_never_equals_itself() -> None:
    config = ModelConfig(name="nobody/nothing")
    source = find_model(config)
    assert model_identity(config, source, "cpu") != model_identity(config, source, "cpu")


def test_one_weight_in_memory_makes_another_model(tiny_model: Path) -> None:
    loaded = fresh(tiny_model)
    before = object_identity(loaded.model, loaded.tokenizer)
    assert object_identity(loaded.model, loaded.tokenizer) == before
    with torch.no_grad():
        next(loaded.model.parameters()).view(-1)[0] += 1e-3
    assert object_identity(loaded.model, loaded.tokenizer) != before


def test_scale_and_switch_of_an_adapter_in_memory_make_another_model(tiny_model: Path) -> None:
    def worn(alpha: int) -> LoadedModel:
        loaded = fresh(tiny_model)
        torch.manual_seed(0)
        config = peft.LoraConfig(target_modules=["q_proj", "v_proj"], lora_alpha=alpha)
        return LoadedModel(peft.get_peft_model(loaded.model, config), loaded.tokenizer)

    model, again, louder = worn(2), worn(2), worn(200)
    own = object_identity(model.model, model.tokenizer)
    assert object_identity(again.model, again.tokenizer) == own
    seen = {own, object_identity(louder.model, louder.tokenizer)}
    model.model.get_base_model().model.layers[0].self_attn.q_proj.set_scale("default", 3)
    seen.add(object_identity(model.model, model.tokenizer))
    with again.model.disable_adapter():
        seen.add(object_identity(again.model, again.tokenizer))
    assert len(seen) == 4


def test_padding_and_truncation_do_not_make_another_tokenizer() -> None:
    plain, padded = build_tokenizer(), build_tokenizer()
    padded.backend_tokenizer.enable_padding(length=8)
    padded.backend_tokenizer.enable_truncation(4)
    assert tokenizer_hash(plain) == tokenizer_hash(padded)
    padded.add_tokens(["word"])
    assert tokenizer_hash(plain) != tokenizer_hash(padded)


def test_a_template_is_known_by_its_text() -> None:
    with_one, without = build_tokenizer(), build_tokenizer(chat=False)
    assert template_hash(without) == "none"
    other = build_tokenizer()
    other.chat_template += " "
    assert len({template_hash(with_one), template_hash(other), "none"}) == 3
