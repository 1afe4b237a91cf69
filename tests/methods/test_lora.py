from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

from forgetless.errors import ModelError
from forgetless.methods.compose import Compose
from forgetless.models.load import load_model
from forgetless.models.save import save_stage_model
from forgetless.plan import MethodSpec, ModelConfig
from tests.training.build import (
    adapt,
    colour_task,
    differing,
    fresh,
    one_stage_a_task,
    settings,
    train,
    weights,
)

FIRST, SECOND = one_stage_a_task([colour_task("first", 0), colour_task("second", 1)])
IDS = torch.tensor([list(b"colour 0-3?")])


def lora(**options: Any) -> Compose:
    return Compose.from_plan([MethodSpec(name="lora", options=options)])


def adapter(model: Any) -> dict[str, torch.Tensor]:
    return {name: value for name, value in weights(model).items() if "lora_" in name}


def test_base_weights_stay_as_they_were_bit_for_bit(tiny_model: Path, tmp_path: Path) -> None:
    loaded = fresh(tiny_model)
    start = weights(loaded.model)
    methods = lora(rank=4)
    for stage in (FIRST, SECOND):
        train(loaded, stage, settings(), tmp_path / stage.name, methods)
    inner = loaded.model.get_base_model()
    ours = {name.replace(".base_layer", ""): value for name, value in inner.named_parameters()}
    for name, value in start.items():
        assert ours[name].equal(value)
        assert not ours[name].requires_grad


def test_only_the_adapter_is_trained_and_counted(tiny_model: Path, tmp_path: Path) -> None:
    """Rank 2 on the seven linear layers of two blocks; the tied head is left out."""
    trained = train(fresh(tiny_model), FIRST, settings(steps=1), tmp_path, lora(rank=2))
    inputs_and_outputs = [(64, 64), (64, 32), (64, 32), (64, 64), (64, 128), (64, 128), (128, 64)]
    assert trained.report.trainable_parameters == 2 * 2 * sum(i + o for i, o in inputs_and_outputs)


def test_untrained_adapter_changes_no_logit(tiny_model: Path) -> None:
    loaded = fresh(tiny_model)
    before = loaded.model(IDS).logits
    assert adapt(lora(rank=4), loaded.model, FIRST)(IDS).logits.equal(before)


def test_rank_alpha_dropout_and_targets_are_those_of_the_plan(tiny_model: Path) -> None:
    methods = lora(rank=3, alpha=6, dropout=0.25, targets=["q_proj"])
    adapted = adapt(methods, fresh(tiny_model).model, FIRST)
    (config,) = adapted.peft_config.values()
    assert (config.r, config.lora_alpha, config.lora_dropout) == (3, 6, 0.25)
    names = {name for name in adapter(adapted) if "lora_A" in name}
    assert len(names) == 2
    assert all("q_proj" in name for name in names)


def test_saved_adapter_on_the_plain_base_gives_the_same_logits_in_plain_peft(
    tiny_model: Path, tmp_path: Path
) -> None:
    loaded = fresh(tiny_model)
    train(loaded, FIRST, settings(), tmp_path / "checkpoints", lora(rank=4))
    folder = save_stage_model(loaded.model, loaded.tokenizer, tmp_path)
    assert folder == tmp_path / "adapter"
    logits = loaded.model(IDS).logits
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    assert not base(IDS).logits.equal(logits)
    assert peft.PeftModel.from_pretrained(base, folder)(IDS).logits.equal(logits)
    assert peft.AutoPeftModelForCausalLM.from_pretrained(folder)(IDS).logits.equal(logits)


def test_second_stage_goes_on_with_the_adapter_of_the_first(
    tiny_model: Path, tmp_path: Path
) -> None:
    methods = lora(rank=4)
    loaded = fresh(tiny_model)
    train(loaded, FIRST, settings(), tmp_path / "first", methods)
    after_first = adapter(loaded.model)
    assert adapt(methods, loaded.model, SECOND) is loaded.model
    assert differing(adapter(loaded.model), after_first) == []
    train(loaded, SECOND, settings(), tmp_path / "second", methods)
    assert list(loaded.model.peft_config) == ["default"]
    assert differing(adapter(loaded.model), after_first)


def test_adapter_that_a_stage_left_is_loaded_ready_to_be_trained(
    tiny_model: Path, tmp_path: Path
) -> None:
    loaded = fresh(tiny_model)
    train(loaded, FIRST, settings(), tmp_path / "checkpoints", lora(rank=4, dropout=0.1))
    save_stage_model(loaded.model, loaded.tokenizer, tmp_path)
    again = load_model(ModelConfig(name=str(tiny_model)), stage=tmp_path)
    assert differing(weights(again.model), weights(loaded.model)) == []
    trainable = {n for n, p in again.model.named_parameters() if p.requires_grad}
    assert trainable == set(adapter(loaded.model))


def test_adapter_starts_the_same_whatever_was_drawn_before(tiny_model: Path) -> None:
    first = adapter(adapt(lora(rank=4), fresh(tiny_model).model, FIRST))
    torch.rand(7)
    assert differing(adapter(adapt(lora(rank=4), fresh(tiny_model).model, FIRST)), first) == []


def test_target_that_the_model_does_not_have_is_refused_with_what_to_do(tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="lora cannot be put on LlamaForCausalLM: ") as caught:
        adapt(lora(targets=["nowhere"]), fresh(tiny_model).model, FIRST)
    assert caught.value.fix is not None
    assert "targets" in caught.value.fix
