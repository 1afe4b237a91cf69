from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from forgetless.errors import ModelError, PlanError
from forgetless.methods.compose import Compose
from forgetless.methods.ewc import EWC
from forgetless.methods.freeze import Freeze
from forgetless.methods.ogd import OGD
from forgetless.methods.stage import Stage
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

FIRST, SECOND, THIRD = one_stage_a_task([colour_task(x, n) for n, x in enumerate("abc")])


def llama(blocks: int = 4, tied: bool = False) -> Any:
    with torch.random.fork_rng():
        config = LlamaConfig(
            vocab_size=16, hidden_size=8, intermediate_size=8, num_hidden_layers=blocks,
            num_attention_heads=2, num_key_value_heads=2, tie_word_embeddings=tied,
        )  # fmt: skip
        return LlamaForCausalLM(config)


def trained(model: Any, stage: Stage = FIRST, **options: Any) -> list[str]:
    """Names of what is trained in a stage, ``model.`` left out."""
    adapt(Compose([Freeze(**options)]), model, stage)
    return [n.removeprefix("model.") for n, p in model.named_parameters() if p.requires_grad]


def blocks(names: list[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("layers.")}


def ends(names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith("layers.")]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"first": 0}, "0123"),
        ({"first": 1}, "123"),
        ({"first": 0.5}, "23"),
        ({"first": 0.3}, "123"),
        ({"first": 0.4}, "23"),
        ({"first": 4}, ""),
        ({"last": 1}, "3"),
        ({"last": 4}, "0123"),
        ({"last": 0}, ""),
    ],
)
def test_depth_says_which_blocks_are_trained_whole(options: dict[str, Any], expected: str) -> None:
    names = trained(llama(), **options)
    assert blocks(names) == set(expected)
    assert len([name for name in names if name.startswith("layers.")]) == 9 * len(expected)


def test_embeddings_are_frozen_with_the_first_block_unless_said_otherwise() -> None:
    both, rest = ["embed_tokens.weight", "norm.weight", "lm_head.weight"], ["norm.weight"]
    assert ends(trained(llama(), share=0.5)) == both
    assert ends(trained(llama(), first=1)) == both[1:]
    assert ends(trained(llama(), last=4)) == both
    assert ends(trained(llama(), first=1, embeddings=True)) == both
    assert ends(trained(llama(), embeddings=False)) == both[1:]
    assert ends(trained(llama(), head=False)) == both[:2]
    assert ends(trained(llama(), embeddings=False, head=False)) == rest


@pytest.mark.parametrize("options", [{"embeddings": False}, {"head": False}, {"first": 1}])
def test_matrix_that_is_embedding_and_head_is_frozen_if_either_is(options: dict[str, Any]) -> None:
    assert ends(trained(llama(tied=True), **options)) == ["norm.weight"]
    assert ends(trained(llama(tied=True), share=0.5)) == ["embed_tokens.weight", "norm.weight"]


def test_names_are_patterns_of_modules_or_parameters() -> None:
    all_names = trained(llama())
    without = trained(llama(), frozen=["*.mlp", "*layernorm*"])
    assert without == [n for n in all_names if ".mlp." not in n and "layernorm" not in n]
    only = trained(llama(), trained=["model.layers.2", "*.q_proj.weight"])
    assert only == [n for n in all_names if n.startswith("layers.2.") or "q_proj" in n]
    assert trained(llama(), trained=["*.mlp"], frozen=["*.0.*"], last=2) == [
        f"layers.{block}.mlp.{part}_proj.weight"
        for block in (2, 3)
        for part in ("gate", "up", "down")
    ]
    assert "embed_tokens.weight" not in trained(llama(tied=True), frozen=["lm_head"])


def test_half_is_drawn_balanced_in_every_block() -> None:
    """Two of four attention matrices, one of two norms, of three feed-forward ones 1 or 2."""
    names = trained(llama(), share=0.5)
    found = {
        kind: [sum(f"layers.{block}.{kind}" in name for name in names) for block in range(4)]
        for kind in ("self_attn", "mlp", "input_layernorm", "post_attention_layernorm")
    }
    assert found["self_attn"] == [2] * 4
    assert sorted(found["mlp"]) == [1, 1, 2, 2]
    norms = zip(found["input_layernorm"], found["post_attention_layernorm"], strict=True)
    assert [a + b for a, b in norms] == [1] * 4


def test_half_is_redrawn_in_every_stage_and_for_every_seed() -> None:
    model = llama()
    first = trained(model, FIRST, share=0.5)
    assert trained(llama(), FIRST, share=0.5) == first
    assert trained(llama(), SECOND, share=0.5) != first
    assert trained(llama(), one_stage_a_task(FIRST.tasks, seed=1)[0], share=0.5) != first
    counts = Counter[str]()
    for seed in range(60):
        (stage,) = one_stage_a_task(FIRST.tasks, seed=seed)
        counts.update(trained(llama(2), stage, share=0.5))
    assert all(15 < counts[name] < 45 for name in counts if name.startswith("layers."))
    assert len(counts) == 2 * 9 + 3


def test_share_holds_over_the_model() -> None:
    names = trained(llama(8), share=0.25)
    assert sum("self_attn" in name for name in names) == 8
    assert sum("mlp" in name for name in names) == 6
    assert sum("layernorm" in name for name in names) == 4


def test_half_is_drawn_among_what_nothing_else_freezes() -> None:
    for seed in range(3):
        (stage,) = one_stage_a_task(FIRST.tasks, seed=seed)
        names = trained(llama(8), stage, share=0.5, last=4, frozen=["*.q_proj", "*.k_proj"])
        assert blocks(names) == set("4567")
        assert [n.split(".")[1] for n in names if "self_attn" in n] == list("4567")


def test_bias_goes_with_its_matrix() -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=9, n_embd=8, n_layer=2, n_head=2))
    adapt(Compose([Freeze(share=0.5)]), model, FIRST)
    assert {p.requires_grad for p in model.transformer.h.parameters()} == {True, False}
    for module in model.transformer.h.modules():
        own = {parameter.requires_grad for parameter in module.parameters(recurse=False)}
        assert len(own) <= 1


def test_every_stage_frees_what_the_one_before_froze_and_nothing_else() -> None:
    model, expected = llama(), llama()
    for each in (model, expected):
        each.model.norm.requires_grad_(False)
        each.model.layers[0].mlp.requires_grad_(False)
    methods = Compose([Freeze(share=0.5)])
    for stage in (FIRST, SECOND):
        adapt(methods, model, stage)
    adapt(Compose([Freeze(share=0.5)]), expected, SECOND)
    assert [p.requires_grad for p in model.parameters()] == [
        p.requires_grad for p in expected.parameters()
    ]
    assert not model.model.norm.weight.requires_grad


def test_what_is_freed_is_what_a_model_from_disk_would_have_free() -> None:
    """Beside a method that freezes the embeddings and norms from the second stage on."""
    model, methods = llama(), Compose([Freeze(share=0.5), OGD()])
    for stage in (FIRST, SECOND, THIRD):
        adapt(methods, model, stage)
        loaded = adapt(Compose([Freeze(share=0.5), OGD()]), llama(), stage)
        assert [p.requires_grad for p in model.parameters()] == [
            p.requires_grad for p in loaded.parameters()
        ]
    assert all("proj" in n or "head" in n for n, p in model.named_parameters() if p.requires_grad)


def test_frozen_parameters_stay_bit_for_bit_and_all_others_move(
    tiny_model: Path, tmp_path: Path
) -> None:
    loaded, methods = fresh(tiny_model), Compose([Freeze(share=0.5, embeddings=False)])
    for stage in (FIRST, SECOND):
        before = weights(loaded.model)
        train(loaded, stage, settings(weight_decay=0.1), tmp_path / stage.name, methods)
        moving = {n for n, p in loaded.model.named_parameters() if p.requires_grad}
        assert set(differing(weights(loaded.model), before)) == moving
        assert 0 < len(moving) < len(before)


@pytest.mark.parametrize(
    ("options", "acts"),
    [
        ({}, False),
        ({"embeddings": True, "first": 0}, False),
        ({"first": 1}, True),
        ({"last": 1}, True),
        ({"last": 0}, True),
        ({"frozen": ["a"]}, True),
        ({"trained": ["a"]}, True),
        ({"share": 0.9}, True),
        ({"embeddings": False}, True),
        ({"head": False}, True),
    ],
)
def test_acts_where_anything_may_be_frozen(options: dict[str, Any], acts: bool) -> None:
    assert Freeze(**options).acts_in(FIRST) == acts


def test_pattern_that_matches_nothing_is_refused_with_near_names() -> None:
    with pytest.raises(ModelError, match=r"has a name like '\*\.q_prj'") as caught:
        trained(llama(), frozen=["*.q_prj"])
    assert caught.value.fix is not None
    assert "q_proj" in caught.value.fix


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"first": 5}, "has 4 blocks, fewer than 5"),
        ({"last": 5}, "has 4 blocks, fewer than 5"),
        ({"frozen": ["*"]}, "leaves nothing of LlamaForCausalLM to be trained"),
        ({"trained": ["*.mlp"], "last": 0}, "leaves nothing"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ModelError, match=fault):
        trained(llama(), **options)


def test_model_without_blocks_is_refused_only_where_depth_matters() -> None:
    model: Any = torch.nn.Linear(2, 2)
    model.get_output_embeddings = lambda: None
    assert trained(model, frozen=["bias"]) == ["weight"]
    with pytest.raises(ModelError, match="Linear is no stack of blocks"):
        trained(model, first=1)


@pytest.mark.parametrize(
    ("options", "fault"),
    [({"first": 1, "last": 1}, "give one"), ({"first": 1.5}, "a whole number of blocks")],
)
def test_options_that_contradict_each_other_are_refused(
    options: dict[str, Any], fault: str
) -> None:
    with pytest.raises(PlanError, match=fault):
        Freeze(**options)


def test_ewc_is_refused_beside_a_draw_which_leaves_old_weights_without_importances() -> None:
    Compose([Freeze(first=1), EWC()])
    with pytest.raises(PlanError, match="freeze and ewc cannot be combined: share draws"):
        Compose([Freeze(share=0.5), EWC()])


def test_model_with_an_adapter_is_refused(tiny_model: Path) -> None:
    loaded = fresh(tiny_model)
    model = peft.get_peft_model(loaded.model, peft.LoraConfig(target_modules="all-linear"))
    with pytest.raises(
        ModelError, match="freeze chooses among the model's own weights, and the model has"
    ):
        adapt(Compose([Freeze(first=1)]), model, FIRST)


def test_dry_run_freezes_the_same() -> None:
    with torch.device("meta"):
        dry = llama()
    assert trained(dry, share=0.5, first=1) == trained(llama(), share=0.5, first=1)
