from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

from forgetless.errors import ModelError
from forgetless.methods.compose import Compose
from forgetless.methods.olora import OLoRA
from forgetless.methods.parts.adapters import factors, linear_layers
from forgetless.models.load import LoadedModel, load_model
from forgetless.models.save import save_stage_model
from forgetless.plan import ModelConfig
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

STAGES = one_stage_a_task([colour_task(name, n) for n, name in enumerate(("one", "two", "three"))])
IDS = torch.tensor([list(b"colour 0-3?")])
RANK = 4


def olora(**options: Any) -> Compose:
    return Compose([OLoRA(**{"rank": RANK, "alpha": 32} | options)])


def all_factors(model: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(a.clone(), b.clone()) for a, b in map(factors, linear_layers(model))]


def overlap(model: Any, rank: int = RANK) -> float:
    """Norm of A_old A_new^T over all layers, of the last stage's A."""
    parts = [(a[:-rank], a[-rank:]) for a, _ in all_factors(model)]
    return float(sum((old @ new.T).square().sum() for old, new in parts) ** 0.5)


def taught(model: Path, folder: Path, steps: int, **options: Any) -> LoadedModel:
    """A model after two stages, the second of so many steps."""
    loaded = fresh(model)
    methods = olora(**options)
    for stage in STAGES[:2]:
        config = settings(steps=steps if stage.number == 2 else 4)
        train(loaded, stage, config, folder / f"{stage.name}-{options}", methods)
    return loaded


def test_new_inputs_become_orthogonal_to_the_old_ones(tiny_model: Path, tmp_path: Path) -> None:
    """A_old A_new^T falls to a small part of what it is unpenalised, and on with more steps."""
    unpenalised = overlap(taught(tiny_model, tmp_path, 20, strength=0).model)
    after_20 = overlap(taught(tiny_model, tmp_path, 20).model)
    after_60 = overlap(taught(tiny_model, tmp_path / "60", 60).model)
    assert after_20 < 0.3 * unpenalised
    assert after_60 < 0.08 * unpenalised


def test_earlier_adapters_and_the_base_stay_frozen_bit_for_bit(
    tiny_model: Path, tmp_path: Path
) -> None:
    loaded = fresh(tiny_model)
    base = weights(loaded.model)
    methods = olora()
    before: list[tuple[torch.Tensor, torch.Tensor]] = []
    for stage in STAGES:
        train(loaded, stage, settings(weight_decay=0.1), tmp_path / stage.name, methods)
        after = all_factors(loaded.model)
        for (a, b), (old_a, old_b) in zip(after, before, strict=bool(before)):
            assert a[: len(old_a)].equal(old_a)
            assert b[:, : len(old_a)].equal(old_b)
        assert {len(a) for a, _ in after} == {RANK * stage.number}
        assert all(b[:, -RANK:].abs().sum() > 0 for _, b in after)
        before = after
    for name, parameter in loaded.model.get_base_model().named_parameters():
        if "lora_" not in name:
            assert parameter.equal(base[name.replace(".base_layer", "")])


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_every_stage_leaves_one_adapter_that_plain_peft_loads(
    dropout: float, tiny_model: Path, tmp_path: Path
) -> None:
    loaded = fresh(tiny_model)
    methods = olora(dropout=dropout, alpha=6, rank=3)
    for stage in STAGES:
        train(loaded, stage, settings(), tmp_path / "checkpoints" / stage.name, methods)
        assert list(loaded.model.peft_config) == ["default"]
        config = loaded.model.peft_config["default"]
        assert (config.r, config.lora_alpha) == (3 * stage.number, 6 * stage.number)
        (tmp_path / stage.name).mkdir()
        folder = save_stage_model(loaded.model, loaded.tokenizer, tmp_path / stage.name)
        plain = AutoModelForCausalLM.from_pretrained(tiny_model)
        logits = loaded.model(IDS).logits
        assert peft.PeftModel.from_pretrained(plain, folder)(IDS).logits.equal(logits)
        again = load_model(ModelConfig(name=str(tiny_model)), stage=tmp_path / stage.name)
        assert differing(weights(again.model), weights(loaded.model)) == []


def test_end_of_a_stage_leaves_the_logits_as_they_were(tiny_model: Path, tmp_path: Path) -> None:
    methods, loaded = olora(), fresh(tiny_model)
    trained: list[torch.Tensor] = []
    settle = methods.settle

    def watched(bench: Any) -> None:
        trained.append(bench.model(IDS).logits)
        settle(bench)

    methods.settle = watched  # type: ignore[method-assign]
    for stage in STAGES:
        train(loaded, stage, settings(), tmp_path / stage.name, methods)
        torch.testing.assert_close(loaded.model(IDS).logits, trained[-1], atol=1e-5, rtol=1e-5)
    assert not trained[1].allclose(trained[2], atol=1e-3)


def test_new_adapter_starts_as_nothing_beside_the_old_one(tiny_model: Path, tmp_path: Path) -> None:
    """The old one acts without dropout from then on, and only the new one is trained."""
    methods, loaded = olora(dropout=0.5), fresh(tiny_model)
    train(loaded, STAGES[0], settings(), tmp_path, methods)
    logits = loaded.model(IDS).logits
    model = adapt(methods, loaded.model, STAGES[1])
    assert not any(module.training for module in model.modules())
    torch.testing.assert_close(model(IDS).logits, logits)
    torch.testing.assert_close(model.train()(IDS).logits, logits)  # the new one's B is 0
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in model.named_parameters() if ".new." in name}


def test_gradient_of_the_penalty_is_that_of_its_formula(tiny_model: Path, tmp_path: Path) -> None:
    """Against autograd, added to what is there; its squared norm is told."""
    (method,) = olora(strength=0.7).methods
    assert isinstance(method, OLoRA)
    loaded = fresh(tiny_model)
    assert method.pull(adapt(Compose([method]), loaded.model, STAGES[0])) == 0.0
    loaded = taught(tiny_model, tmp_path, 4)
    model = adapt(Compose([method]), loaded.model, STAGES[1])
    layers = linear_layers(model)
    new = [layer.lora_A["new"].weight for layer in layers]
    earlier = [layer.lora_A["default"].weight for layer in layers]
    assert {len(a) for a in earlier} == {2 * RANK}
    penalty = sum((0.7 * (old @ a.T).square().sum() for old, a in zip(earlier, new, strict=True)))
    expected = torch.autograd.grad(penalty, new)
    for parameter in new[1:]:
        parameter.grad = torch.ones_like(parameter)
    norm = method.pull(model)
    assert new[0].grad is not None
    torch.testing.assert_close(new[0].grad, expected[0])
    for parameter, gradient in zip(new[1:], expected[1:], strict=True):
        torch.testing.assert_close(parameter.grad, gradient + 1)
    assert norm == pytest.approx(sum(float(g.square().sum()) for g in expected), rel=1e-4)
    assert all(p.grad is None for n, p in model.named_parameters() if ".new." not in n)


def test_without_strength_nothing_is_pulled(tiny_model: Path, tmp_path: Path) -> None:
    (method,) = olora(strength=0).methods
    assert isinstance(method, OLoRA)
    model = adapt(Compose([method]), taught(tiny_model, tmp_path, 1).model, STAGES[1])
    assert method.pull(model) == 0.0
    assert all(parameter.grad is None for parameter in model.parameters())


def test_dry_run_needs_no_weights(tiny_model: Path) -> None:
    model = fresh(tiny_model).model.to("meta")
    for stage in STAGES:
        model = adapt(olora(), model, stage)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    inputs_and_outputs = [(64, 64), (64, 32), (64, 32), (64, 64), (64, 128), (64, 128), (128, 64)]
    assert trained == 2 * RANK * sum(i + o for i, o in inputs_and_outputs)


def test_target_that_is_not_linear_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    methods, loaded = olora(targets=["embed_tokens"]), fresh(tiny_model)
    with pytest.raises(ModelError, match="targets names a module that is not linear"):
        adapt(methods, loaded.model, STAGES[0])
