from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from forgetless.errors import ModelError, PlanError
from forgetless.methods.compose import Compose
from forgetless.methods.lora import LoRA
from forgetless.methods.ogd import OGD, extended, input_moments
from forgetless.methods.stage import Workbench
from forgetless.tasks.examples import Encoder
from tests.methods.bigram import answer
from tests.methods.regression import Regression, bench
from tests.training.build import (
    adapt,
    colour_task,
    differing,
    fresh,
    one_stage_a_task,
    settings,
    train,
    weights,
    with_learned_positions,
    workbench,
)

FIRST, SECOND, THIRD = one_stage_a_task([colour_task(x, n) for n, x in enumerate("abc")])
ALL: dict[str, Any] = {"energy": 1.0, "capacity": 1.0}


def basis_of(method: OGD, path: str) -> torch.Tensor:
    return method.state().part("basis")[method.state().values["shared"][path]]


def test_answers_to_protected_inputs_stay_under_adamw_and_others_move() -> None:
    """50 steps with momentum and weight decay, on random gradients."""
    model, method = Regression(width=16), OGD(**ALL)
    method.end_stage(bench(model, [answer(0, 1, 2, 3)], FIRST))
    here = bench(model, [], SECOND)
    method.start_stage(here, here.new)
    start = model.head.weight.detach().clone()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        model.head.weight.grad = torch.randn(start.shape, generator=generator)
        method.before_step(model)
        optimiser.step()
        method.after_step(model)
    update = model.head.weight.detach() - start
    moved = (model.features @ update.T).norm(dim=1) / model.features.norm(dim=1)
    assert float(update.norm()) > 0.1
    assert float(moved[:4].max()) < 1e-5 * float(update.norm())
    assert float(moved[4]) > 0.1 * float(update.norm())


def test_every_protected_subspace_stays_through_real_training(
    tiny_model: Path, tmp_path: Path
) -> None:
    """In each linear layer, over 50 steps of the second stage and again of the third."""
    loaded, method = fresh(tiny_model), OGD(energy=0.8)
    methods = Compose([method])
    method.end_stage(workbench(loaded, FIRST))
    for stage in (SECOND, THIRD):
        start = weights(loaded.model)
        bases = {path: basis_of(method, path) for path in method.state().values["shared"]}
        config = settings(steps=50, batch_size=2, weight_decay=0.1, learning_rate=1e-3)
        train(loaded, stage, config, tmp_path / stage.name, methods)
        assert len(bases) == 14
        for path, basis in bases.items():
            update = weights(loaded.model)[f"{path}.weight"] - start[f"{path}.weight"]
            assert float(update.norm()) > 1e-2
            assert float((update @ basis).norm()) < 1e-5 * float(update.norm())
        method.end_stage(workbench(loaded, stage))


@pytest.mark.parametrize("learned_positions", [False, True], ids=["rotary", "transposed"])
@pytest.mark.parametrize("rest", ["frozen", "free"])
def test_answers_to_old_rows_stay_through_all_layers_unless_the_rest_is_free(
    learned_positions: bool, rest: str, tiny_model: Path, tmp_path: Path
) -> None:
    loaded = fresh(tiny_model)
    if learned_positions:
        loaded = with_learned_positions(loaded.tokenizer)
    method = OGD(samples=1, rest=rest, **ALL)
    old = [loaded.tokenizer("an old row")["input_ids"]]
    here = workbench(loaded, FIRST)
    here.__dict__["new"] = bench(None, [answer(*old[0])]).new
    method.end_stage(here)
    ids, others = torch.tensor(old), torch.tensor([here.new[0].ids[::-1]])
    before = [loaded.model(x).logits.detach() for x in (ids, others)]
    config = settings(steps=20, warmup=0)
    trained = train(loaded, SECOND, config, tmp_path, Compose([method]))
    after = [loaded.model(x).logits.detach() for x in (ids, others)]
    assert trained.losses[-1] < trained.losses[0] - 0.1
    kept, moved = (float((x - y).norm() / x.norm()) for x, y in zip(before, after, strict=True))
    assert moved > 0.05
    if rest == "frozen":
        assert kept < 1e-3 * moved
    else:
        assert kept > 0.1 * moved  # embeddings and norms let through what layers keep out


def test_rest_is_free_in_the_first_stage_and_frozen_or_free_later(tiny_model: Path) -> None:
    def trained(stage: Any, **options: Any) -> set[str]:
        model = adapt(Compose([OGD(**options)]), fresh(tiny_model).model, stage)
        return {name for name, p in model.named_parameters() if p.requires_grad}

    everything = set(weights(fresh(tiny_model).model))
    assert trained(FIRST) == trained(SECOND, rest="free") == everything
    assert trained(SECOND) == {name for name in everything if "proj" in name}


def test_directions_are_added_until_they_hold_the_wanted_share() -> None:
    moment = torch.diag(torch.tensor([1.0, 9.0, 4.0, 2.0]))
    none = moment[:, :0]
    for energy, most, wanted in (
        (0.5, 4, [1]),
        (0.8, 4, [1, 2]),  # 13 of 16
        (0.82, 4, [1, 2, 3]),
        (1.0, 4, [1, 2, 3, 0]),
        (1.0, 2, [1, 2]),
    ):
        found = extended(none, moment, energy, most)
        torch.testing.assert_close(found.abs(), torch.eye(4)[:, wanted])


def test_what_the_old_basis_holds_counts_and_is_not_added_again() -> None:
    moment = torch.diag(torch.tensor([1.0, 9.0, 4.0, 2.0]))
    old = torch.eye(4)[:, [1]]
    assert extended(old, moment, 0.5, 4).equal(old)
    found = extended(old, moment, 0.8, 4)
    assert found[:, :1].equal(old)
    torch.testing.assert_close(found.abs(), torch.eye(4)[:, [1, 2]])
    assert extended(found, moment, 1.0, 2).equal(found)
    assert extended(found, moment, 1.0, 1).equal(found)  # never fewer than there were


def test_bases_are_those_of_gpm_by_its_singular_value_decomposition() -> None:
    """Equations 8 and 9 on the inputs themselves, twice over."""
    generator = torch.Generator().manual_seed(0)
    scales = torch.logspace(0, -2, 12)[:, None]
    found = theirs = torch.zeros(12, 0)
    for _ in range(2):
        inputs = scales * torch.randn(12, 40, generator=generator)
        inputs = inputs[torch.randperm(12, generator=generator)]
        found = extended(found, inputs @ inputs.T, 0.9, 12)
        u, s, _ = torch.linalg.svd(inputs - theirs @ (theirs.T @ inputs), full_matrices=False)
        held = (theirs.T @ inputs).square().sum()
        k = 0
        while held + s[:k].square().sum() < 0.9 * inputs.square().sum():
            k += 1
        theirs = torch.cat([theirs, u[:, :k]], 1)
    assert found.shape == theirs.shape
    assert 2 < found.shape[1] < 12
    torch.testing.assert_close(found @ found.T, theirs @ theirs.T, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.T @ found, torch.eye(found.shape[1]), rtol=0, atol=1e-5)


def test_inputs_that_fill_few_directions_protect_no_more_than_those() -> None:
    """With all energy asked for, rounding is not taken for a direction."""
    inputs = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    moment = inputs @ inputs.T
    basis = extended(moment[:, :0], moment, 1.0, 10)
    assert basis.shape == (10, 3)
    assert extended(basis, moment, 1.0, 10).shape == (10, 3)


def test_new_directions_stand_upright_on_the_old_ones_even_if_those_hold_nearly_all() -> None:
    generator = torch.Generator().manual_seed(0)
    turned = torch.linalg.qr(torch.randn(8, 8, generator=generator)).Q
    moment = turned @ torch.diag(torch.tensor([1e4, *[0.05] * 7])) @ turned.T
    found = extended(turned[:, :1].contiguous(), (moment + moment.T) / 2, 1.0, 8)
    assert found.shape[1] > 1
    torch.testing.assert_close(found.T @ found, torch.eye(found.shape[1]), rtol=0, atol=1e-5)


def test_inputs_of_every_earlier_stage_stay_protected() -> None:
    model, method = Regression(width=16), OGD(**ALL)
    for stage, tokens in ((FIRST, (0, 1)), (SECOND, (2, 3))):
        method.end_stage(bench(model, [answer(*tokens, 4)], stage))
    basis = basis_of(method, "head")
    outside = model.features - model.features @ basis @ basis.T
    assert float(outside[:4].abs().max()) < 1e-5
    assert basis.shape == (16, 5)


def test_moments_are_of_all_tokens_brought_to_length_one(tiny_model: Path) -> None:
    loaded = fresh(tiny_model)
    here = workbench(loaded, FIRST)
    examples = [here.new[index] for index in range(3)]
    moments, _ = input_moments(loaded.model, examples)
    inner = loaded.model.model
    with torch.no_grad():
        norm = inner.layers[0].input_layernorm
        rows = [norm(inner.embed_tokens(torch.tensor(one.ids))) for one in examples]
    unit = normalize(torch.cat(rows), dim=-1)
    torch.testing.assert_close(moments["model.layers.0.self_attn.q_proj"], unit.T @ unit)
    tokens = sum(len(one) for one in examples)
    for moment in moments.values():
        assert float(moment.trace()) == pytest.approx(tokens, rel=1e-4)
    assert not any(layer._forward_pre_hooks for layer in loaded.model.modules())


def test_layers_that_read_the_same_share_a_basis_and_a_tied_head_has_none(
    tiny_model: Path,
) -> None:
    here = workbench(fresh(tiny_model), FIRST)
    moments, shared = input_moments(here.model, [here.new[0]])
    for n in (0, 1):
        layer = f"model.layers.{n}"
        groups = [["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]]
        groups += [["self_attn.o_proj"], ["mlp.gate_proj", "mlp.up_proj"], ["mlp.down_proj"]]
        for first, *others in groups:
            assert f"{layer}.{first}" in moments
            for name in (first, *others):
                assert shared[f"{layer}.{name}"] == f"{layer}.{first}"
    assert (len(moments), len(shared)) == (8, 14)


def test_memory_is_capped_whatever_the_number_of_stages(tiny_model: Path) -> None:
    loaded, method = fresh(tiny_model), OGD(energy=1.0, capacity=0.25)
    for stage in (FIRST, SECOND, THIRD):
        method.end_stage(workbench(loaded, stage))
        found = method.state().part("basis")
        assert {basis.shape for basis in found.values()} == {(64, 16), (128, 32)}


def test_only_so_many_rows_are_looked_at() -> None:
    seen: list[int] = []

    class Counts(Regression):
        def forward(self, input_ids: torch.Tensor, *args: Any, **more: Any) -> Any:
            seen.append(int(input_ids[0, 0]))
            return super().forward(input_ids, *args, **more)

    rows = [answer(token, 0) for token in range(5)]
    OGD(samples=3).end_stage(bench(Counts(), rows))
    assert len(set(seen)) == len(seen) == 3


def test_weight_that_another_method_froze_is_left_alone(tiny_model: Path) -> None:
    loaded, method = fresh(tiny_model), OGD()
    method.end_stage(workbench(loaded, FIRST))
    loaded.model.model.layers[0].requires_grad_(False)
    here = workbench(loaded, SECOND)
    method.start_stage(here, here.new)
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter.add_(0.1)  # as that method may
    before = weights(loaded.model)
    method.after_step(loaded.model)
    put_back = differing(before, weights(loaded.model))
    assert len(put_back) == 7
    assert all("layers.1." in name for name in put_back)


def test_it_acts_after_the_first_stage() -> None:
    assert [OGD().acts_in(stage) for stage in (FIRST, SECOND)] == [False, True]


def test_model_without_linear_layers_is_refused_with_what_to_do() -> None:
    class Table(torch.nn.Embedding):
        def get_input_embeddings(self) -> Any:
            return self

    found = Workbench(FIRST, Table(3, 2), None, Encoder(None, settings()))
    with pytest.raises(ModelError, match="ogd: Table has no linear layer") as caught:
        OGD().adapt(found)
    assert caught.value.fix == "use another method, such as  l2sp"


def test_adapters_are_not_protected(tiny_model: Path) -> None:
    with pytest.raises(PlanError, match="ogd and lora cannot be combined"):
        Compose([OGD(), LoRA()])
    model = adapt(Compose([LoRA()]), fresh(tiny_model).model, FIRST)
    with pytest.raises(ModelError, match="ogd: it protects the inputs of whole weights") as caught:
        adapt(Compose([OGD()]), model, FIRST)  # as a trainer that was made with an adapter
    assert caught.value.fix == "merge it first:  model = model.merge_and_unload()"
