from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from forgetless.errors import ModelError
from forgetless.methods.compose import Compose
from forgetless.methods.osf import OSF
from forgetless.methods.stage import Workbench
from forgetless.models.save import save_stage_model
from tests.tiny import build_tokenizer
from tests.training.build import (
    Weights,
    adapt,
    colour_task,
    differing,
    fresh,
    one_stage_a_task,
    settings,
    train,
    weights,
    workbench,
)

FIRST, SECOND = one_stage_a_task([colour_task("first", 0), colour_task("second", 1)])
IDS = torch.tensor([list(b"colour 0-3?")])


def projections(before: torch.Tensor, after: torch.Tensor, k: int) -> tuple[float, float]:
    """How much of a change lies in the k largest left and right directions, relative to it."""
    u, _, vh = torch.linalg.svd(before.double(), full_matrices=False)
    change = after.double() - before.double()
    left, right = u[:, :k].T @ change, change @ vh[:k].T
    return float(left.norm() / change.norm()), float(right.norm() / change.norm())


def trained_matrices(model: Any) -> list[str]:
    return [name for name, p in model.named_parameters() if p.requires_grad]


def test_protected_subspace_stays_put_under_adamw(tiny_model: Path, tmp_path: Path) -> None:
    """Over 50 steps with momentum and weight decay, in two stages: to 1e-5 of the change."""
    loaded = fresh(tiny_model)
    config = settings(steps=50, weight_decay=0.1)
    for stage in (FIRST, SECOND):
        before = weights(loaded.model)
        train(loaded, stage, config, tmp_path / stage.name, Compose([OSF(share=0.5)]))
        after = weights(loaded.model)
        names = trained_matrices(loaded.model)
        assert len(names) == 14
        for name in names:
            k = min(before[name].shape) // 2
            left, right = projections(before[name], after[name], k)
            assert max(left, right) < 1e-5
            assert (after[name] - before[name]).norm() > 0.05 * before[name].norm()
            further_left, further_right = projections(before[name], after[name], k + 1)
            assert min(further_left, further_right) > 1e-3


def test_largest_singular_directions_keep_their_values(tiny_model: Path, tmp_path: Path) -> None:
    loaded = fresh(tiny_model)
    before = weights(loaded.model)
    train(loaded, FIRST, settings(), tmp_path, Compose([OSF(share=0.25)]))
    for name in trained_matrices(loaded.model):
        u, values, vh = torch.linalg.svd(before[name].double(), full_matrices=False)
        k = len(values) // 4
        kept = u[:, :k].T @ loaded.model.get_parameter(name).double() @ vh[:k].T
        torch.testing.assert_close(kept, torch.diag(values[:k]), atol=1e-5, rtol=1e-5)


def test_step_into_the_free_subspace_is_left_alone_and_any_other_is_taken_back() -> None:
    """By hand on W = diag(3, 2, 1): the first direction is protected."""
    model = torch.nn.Linear(3, 3, bias=False)
    model.weight.data = torch.diag(torch.tensor([3.0, 2.0, 1.0]))
    method = OSF(share=0.4)
    method.start_stage(Workbench(FIRST, model, None, None), None)  # type: ignore[arg-type]
    model.weight.data += torch.arange(1.0, 10.0).view(3, 3)
    method.after_step(model)
    expected = torch.tensor([[3.0, 0, 0], [0, 2 + 5, 6], [0, 8, 1 + 9]])
    torch.testing.assert_close(model.weight.data, expected)


@pytest.mark.parametrize("shape", [(2, 4), (4, 2)])
def test_weights_of_any_shape_are_protected_on_both_sides(shape: tuple[int, int]) -> None:
    model = torch.nn.Linear(shape[1], shape[0], bias=False)
    before = torch.zeros(shape)
    before[0, 0], before[1, 1] = 5.0, 1.0
    model.weight.data = before.clone()
    method = OSF(share=0.5)
    method.start_stage(Workbench(FIRST, model, None, None), None)  # type: ignore[arg-type]
    model.weight.data += 1.0
    method.after_step(model)
    expected = before + 1.0
    expected[0] = before[0]
    expected[:, 0] = before[:, 0]
    torch.testing.assert_close(model.weight.data, expected)


def test_every_stage_decomposes_the_weights_anew_and_may_protect_more() -> None:
    model = torch.nn.Linear(10, 10, bias=False)
    method = OSF(share=0.3, growth=0.4)
    for stage, k in ((FIRST, 3), (SECOND, 7)):
        torch.nn.init.normal_(model.weight, generator=torch.Generator().manual_seed(stage.number))
        method.start_stage(Workbench(stage, model, None, None), None)  # type: ignore[arg-type]
        before = model.weight.detach().clone()
        model.weight.data += torch.randn(10, 10, generator=torch.Generator().manual_seed(9))
        method.after_step(model)
        assert max(projections(before, model.weight.detach(), k)) < 1e-5
        assert min(projections(before, model.weight.detach(), k + 1)) > 0.01
    last = OSF(share=0.9, growth=0.9)
    last.start_stage(Workbench(SECOND, model, None, None), None)  # type: ignore[arg-type]
    assert len(last._protected["weight"].values) == 9  # one direction is always left to train


def test_only_the_targets_are_trained_and_everything_else_stays(
    tiny_model: Path, tmp_path: Path
) -> None:
    for targets, count in (("all-linear", 14), (["q_proj", "mlp.up_proj"], 4)):
        loaded = fresh(tiny_model)
        before = weights(loaded.model)
        train(loaded, FIRST, settings(), tmp_path / str(count), Compose([OSF(targets=targets)]))
        moved = differing(weights(loaded.model), before)
        assert moved == trained_matrices(loaded.model)
        assert len(moved) == count
        assert not any("embed" in name or "norm" in name for name in moved)


def test_parameter_that_was_frozen_before_stays_frozen(tiny_model: Path) -> None:
    model = fresh(tiny_model).model
    model.model.layers[0].requires_grad_(False)
    adapt(Compose([OSF()]), model, FIRST)
    assert all("layers.1." in name for name in trained_matrices(model))


def test_stage_survives_its_end(tiny_model: Path, tmp_path: Path) -> None:
    """What is saved is a whole plain model with the trained outputs, bit for bit."""
    loaded = fresh(tiny_model)
    untouched = loaded.model(IDS).logits
    train(loaded, FIRST, settings(), tmp_path / "checkpoints", Compose([OSF()]))
    folder = save_stage_model(loaded.model, loaded.tokenizer, tmp_path)
    assert folder == tmp_path / "model"
    logits = loaded.model(IDS).logits
    assert AutoModelForCausalLM.from_pretrained(folder)(IDS).logits.equal(logits)
    assert not logits.allclose(untouched, atol=1e-2)


def test_half_precision_weights_keep_to_the_rounding_of_their_dtype(
    tiny_model: Path, tmp_path: Path
) -> None:
    loaded = fresh(tiny_model, dtype="bfloat16")
    before = weights(loaded.model)
    train(loaded, FIRST, settings(steps=30), tmp_path, Compose([OSF(share=0.5)]))
    for name in trained_matrices(loaded.model):
        after = loaded.model.get_parameter(name).detach()
        assert after.dtype == torch.bfloat16
        left, right = projections(before[name].float(), after.float(), min(after.shape) // 2)
        assert max(left, right) < 0.05


def test_model_that_stores_weights_transposed_is_protected_too() -> None:
    config = GPT2Config(vocab_size=len(build_tokenizer()), n_embd=32, n_layer=1, n_head=2)
    model = GPT2LMHeadModel(config)
    bench = Workbench(FIRST, model, None, None)  # type: ignore[arg-type]
    method = OSF(share=0.5)
    method.adapt(bench)
    names = trained_matrices(model)
    assert [name.split(".", 3)[3] for name in names] == [
        "attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight",
    ]  # fmt: skip
    method.start_stage(bench, None)  # type: ignore[arg-type]
    before: Weights = weights(model)
    with torch.no_grad():
        for name in names:
            model.get_parameter(name).add_(torch.randn_like(before[name]))
    method.after_step(model)
    for name in names:
        assert max(projections(before[name], model.get_parameter(name).detach(), 16)) < 1e-5


def test_target_that_the_model_does_not_have_is_refused_with_one_it_has(tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="no linear module named 'proj'") as caught:
        adapt(Compose([OSF(targets=["q_proj", "proj"])]), fresh(tiny_model).model, FIRST)
    assert caught.value.fix is not None
    assert "o_proj" in caught.value.fix


def test_model_without_anything_to_train_is_refused(tiny_model: Path) -> None:
    model = fresh(tiny_model).model.requires_grad_(False)
    with pytest.raises(ModelError, match="osf finds nothing to train in LlamaForCausalLM"):
        adapt(Compose([OSF()]), model, FIRST)


def test_model_with_an_adapter_is_refused(tiny_model: Path) -> None:
    loaded = fresh(tiny_model)
    model = peft.get_peft_model(loaded.model, peft.LoraConfig(target_modules="all-linear"))
    with pytest.raises(ModelError, match="has an adapter"):
        adapt(Compose([OSF()]), model, FIRST)


def test_resumed_stage_decomposes_what_it_started_from(tiny_model: Path) -> None:
    """There is nothing to save: the start of the stage says it all."""
    loaded = fresh(tiny_model)
    first, second = OSF(), OSF()
    for method in (first, second):
        method.adapt(workbench(loaded, FIRST))
        method.start_stage(workbench(loaded, FIRST), None)  # type: ignore[arg-type]
    assert second.state().tensors == {}
    for ours, theirs in zip(first._protected.values(), second._protected.values(), strict=True):
        assert all(a.equal(b) for a, b in zip(ours, theirs, strict=True))
