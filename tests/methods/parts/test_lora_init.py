from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from forgetless.errors import DataError, ModelError, PlanError
from forgetless.methods.compose import Compose
from forgetless.methods.lora import LoRA
from forgetless.methods.parts.adapters import factors, linear_layers
from forgetless.methods.parts.lora_init import (
    TAKING_OVER,
    corda,
    eva,
    lora_ga,
    mean_gradients,
    olora,
    pissa,
    second_moments,
)
from forgetless.models.forward import PADDING
from forgetless.models.load import LoadedModel, load_model
from forgetless.models.padding import looks_past_padding
from forgetless.models.save import save_stage_model
from forgetless.plan import ModelConfig
from forgetless.tasks.examples import Examples, Origin
from forgetless.tasks.render import Encoded
from tests.models.test_padding import bart
from tests.tiny import build_tokenizer, colours, write_rows
from tests.training.build import (
    Weights,
    adapt,
    colour_task,
    die_at,
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


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows that show what is to be kept."""
    return write_rows(tmp_path_factory.mktemp("rows") / "kept.jsonl", colours(7, 20))


def lora(init: str, rows: Path, **options: Any) -> Compose:
    more = {"calibration": str(rows)} if init == "corda" else {}
    return Compose([LoRA(**{"rank": 4, "init": init} | more | options)])


def adapted(init: str, rows: Path, model: Path, **options: Any) -> LoadedModel:
    """A model with a new adapter, not yet trained."""
    loaded = fresh(model)
    bench = workbench(loaded, FIRST)
    lora(init, rows, **options).adapt(bench)
    return LoadedModel(bench.model, loaded.tokenizer)


every_init = pytest.mark.parametrize(
    "init", ["gaussian", "orthogonal", "mica", "eva", *sorted(TAKING_OVER)]
)
taking_over = pytest.mark.parametrize("init", sorted(TAKING_OVER))


def base_weights(model: Any) -> Weights:
    return {
        name.replace("base_model.model.", "").replace(".base_layer", ""): value
        for name, value in weights(model).items()
        if "lora_" not in name
    }


@every_init
def test_new_adapter_changes_no_logit(init: str, rows: Path, tiny_model: Path) -> None:
    before = fresh(tiny_model).model(IDS).logits
    torch.testing.assert_close(adapted(init, rows, tiny_model).model(IDS).logits, before)


@every_init
def test_every_stage_leaves_an_adapter_that_plain_peft_loads_on_the_plain_base(
    init: str, rows: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """And the base weights stay as they were, bit for bit, in stages that go on from disk."""
    base = fresh(tiny_model)
    loaded, on_disk = fresh(tiny_model), fresh(tiny_model)
    at_once = lora(init, rows)
    for stage in (FIRST, SECOND):
        train(loaded, stage, settings(), tmp_path / f"at-once-{stage.name}", at_once)
        train(on_disk, stage, settings(), tmp_path / f"disk-{stage.name}", lora(init, rows))
        assert differing(weights(on_disk.model), weights(loaded.model)) == []
        assert differing(base_weights(loaded.model), weights(base.model)) == []
        folder = tmp_path / stage.name
        folder.mkdir()
        saved = save_stage_model(on_disk.model, on_disk.tokenizer, folder)
        plain = AutoModelForCausalLM.from_pretrained(tiny_model)
        logits = loaded.model(IDS).logits
        assert peft.LoraConfig.from_pretrained(str(saved)).init_lora_weights is True
        assert peft.PeftModel.from_pretrained(plain, saved)(IDS).logits.equal(logits)
        assert not logits.allclose(base.model(IDS).logits, atol=1e-3)
        on_disk = load_model(ModelConfig(name=str(tiny_model)), stage=folder)


@taking_over
def test_end_of_a_stage_leaves_the_logits_as_they_were(
    init: str, rows: Path, tiny_model: Path, tmp_path: Path
) -> None:
    methods = lora(init, rows, rslora=True, rank=3, alpha=10)
    loaded = fresh(tiny_model)
    trained: list[torch.Tensor] = []
    settle = methods.settle

    def watched(bench: Any) -> None:
        trained.append(bench.model(IDS).logits)
        settle(bench)

    methods.settle = watched  # type: ignore[method-assign]
    for stage in (FIRST, SECOND):
        train(loaded, stage, settings(), tmp_path / stage.name, methods)
        torch.testing.assert_close(loaded.model(IDS).logits, trained[-1], atol=1e-5, rtol=1e-5)
        assert list(loaded.model.peft_config) == ["default"]
        assert {len(factors(layer)[0]) for layer in linear_layers(loaded.model)} == {6}
        save_stage_model(loaded.model, loaded.tokenizer, tmp_path)
        again = load_model(ModelConfig(name=str(tiny_model)), stage=tmp_path)
        scales = {layer.scaling["default"] for layer in linear_layers(loaded.model)}
        assert scales == {layer.scaling["default"] for layer in linear_layers(again.model)}
        assert scales.pop() == pytest.approx(10 / 3**0.5)


@pytest.mark.parametrize("init", ["pissa", "corda"])
def test_killed_later_stage_ends_as_if_it_had_not_been(
    init: str, rows: Path, tiny_model: Path, tmp_path: Path
) -> None:
    config = settings(steps=5, checkpoint_every=2)
    first = fresh(tiny_model)
    train(first, FIRST, config, tmp_path / "first", lora(init, rows))
    save_stage_model(first.model, first.tokenizer, tmp_path)

    def go(folder: Path, kill_at: int | None = None) -> Weights:
        loaded = load_model(ModelConfig(name=str(tiny_model)), stage=tmp_path)
        train(loaded, SECOND, config, folder, lora(init, rows), die_at(kill_at))
        return weights(loaded.model)

    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "killed", kill_at=3)
    assert differing(go(tmp_path / "killed"), go(tmp_path / "whole")) == []


@taking_over
def test_only_the_first_half_of_what_a_stage_saved_is_trained_on(
    init: str, rows: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """The second half, the part taken over, stays as it is bit for bit."""
    methods, loaded = lora(init, rows), fresh(tiny_model)
    found = []
    for stage in (FIRST, SECOND):
        train(loaded, stage, settings(), tmp_path / stage.name, methods)
        found.append([factors(layer) for layer in linear_layers(loaded.model)])
    for (a1, b1), (a2, b2) in zip(*found, strict=True):
        assert a2[4:].equal(a1[4:])
        assert b2[:, 4:].equal(b1[:, 4:])
        assert not a2[:4].equal(a1[:4])
        assert not b2[:, :4].equal(b1[:, :4])


def by_peft(init: Any, model: Path) -> Any:
    """What peft makes of a plain model, with the weights changed."""
    config = peft.LoraConfig(
        r=4, lora_alpha=32, target_modules="all-linear", init_lora_weights=init
    )
    return peft.get_peft_model(AutoModelForCausalLM.from_pretrained(model), config).eval()


@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_adapter_starts_and_learns_as_peft_s_own(init: str, rows: Path, tiny_model: Path) -> None:
    """Which has changed the base weights: the same factors and gradients, to rounding."""
    ours, theirs = adapted(init, rows, tiny_model).model, by_peft(init, tiny_model)
    target = torch.arange(IDS.shape[1])
    for model in (ours, theirs):
        torch.autograd.backward(nn.functional.cross_entropy(model(IDS).logits[0], target))
    compared = 0
    for name, expected in theirs.named_parameters():
        if "lora_" in name:
            found = ours.get_parameter(name)
            torch.testing.assert_close(found, expected)
            torch.testing.assert_close(found.grad, expected.grad, atol=1e-5, rtol=1e-3)
            compared += 1
    assert compared == 2 * 14


def test_mica_starts_as_peft_s_own_and_trains_a_alone_in_every_stage(
    rows: Path, tiny_model: Path, tmp_path: Path
) -> None:
    theirs = {n: p for n, p in by_peft("mica", tiny_model).named_parameters() if "lora_B" in n}
    methods, loaded = lora("mica", rows), fresh(tiny_model)
    for stage in (FIRST, SECOND):
        before = weights(loaded.model)
        train(loaded, stage, settings(), tmp_path / stage.name, methods)
        after = weights(loaded.model)
        assert all(after[name].equal(value) for name, value in theirs.items())
        moved = {n for n in after if n not in before or not after[n].equal(before[n])}
        assert {n for n in moved if "lora_A" in n} == {n for n in after if "lora_A" in n}
        save_stage_model(loaded.model, loaded.tokenizer, tmp_path)
        loaded = load_model(ModelConfig(name=str(tiny_model)), stage=tmp_path)


def test_pissa_takes_over_the_largest_singular_values() -> None:
    generator = torch.Generator().manual_seed(0)
    u, v = (torch.linalg.qr(torch.randn(n, 5, generator=generator)).Q for n in (6, 5))
    values = torch.tensor([5.0, 4, 2, 1.5, 1])
    weight = u * values @ v.T
    for iterations in (None, 16):
        a, b = pissa(weight, 2, 4.0, iterations)
        torch.testing.assert_close(4 * b @ a, u[:, :2] * values[:2] @ v[:, :2].T)
        torch.testing.assert_close(a.norm(dim=1), b.norm(dim=0))
    a, b = pissa(weight, 2, 4.0, iterations=0)
    assert not (4 * b @ a).allclose(u[:, :2] * values[:2] @ v[:, :2].T, atol=0.01)


def test_pissa_niter_takes_its_iterations_from_the_plan(rows: Path, tiny_model: Path) -> None:
    exact, *approximate = (
        factors(linear_layers(adapted(init, rows, tiny_model, iterations=n).model)[0])[0]
        for init, n in (("pissa", 1), ("pissa_niter", 1), ("pissa_niter", 40))
    )
    far, near = ((a.abs() - exact.abs()).norm() for a in approximate)
    assert near < 0.2 * far


def test_olora_takes_over_the_first_columns_of_q() -> None:
    weight = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    a, b = olora(weight, 2)
    torch.testing.assert_close(b.T @ b, torch.eye(2))
    torch.testing.assert_close((weight - b @ a)[:, :2], torch.zeros(6, 2))


def test_corda_leaves_in_the_weight_what_the_inputs_use() -> None:
    """Inputs along the first axis only: of W = I, everything else is given away first."""
    moments = torch.diag(torch.tensor([100.0, 1.0, 2.0]))
    a, b = corda(torch.eye(3), moments, 1, 2.0)
    torch.testing.assert_close(2 * b @ a, torch.diag(torch.tensor([0.0, 1.0, 0.0])))
    a, b = corda(torch.eye(3), moments, 2, 2.0)
    torch.testing.assert_close(2 * b @ a, torch.diag(torch.tensor([0.0, 1.0, 1.0])))


def test_corda_does_not_mind_how_large_the_inputs_are() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 4, generator=generator)
    inputs = torch.randn(30, 4, generator=generator)
    moments = inputs.T @ inputs
    for one, other in zip(
        corda(weight, moments, 2, 1.0), corda(weight, 1e-6 * moments, 2, 1.0), strict=True
    ):
        torch.testing.assert_close(other.abs(), one.abs(), rtol=1e-3, atol=1e-4)


def seen_by_layer(layers: list[Any], model: Any) -> list[list[torch.Tensor]]:
    """What enters each layer from now on."""
    seen: list[list[torch.Tensor]] = [[] for _ in layers]
    for layer, inputs in zip(layers, seen, strict=True):
        layer.register_forward_pre_hook(lambda _, given, inputs=inputs: inputs.append(given[0][0]))
    return seen


def test_second_moments_are_those_of_every_token_and_of_no_padding(
    rows: Path, tiny_model: Path
) -> None:
    loaded = adapted("default", rows, tiny_model)
    examples = workbench(loaded, FIRST).new
    assert len(set(examples.lengths.tolist())) > 1
    layers = linear_layers(loaded.model)
    with torch.no_grad():  # padding that was counted would show
        loaded.model.get_input_embeddings().weight[PADDING] += 1
    found = second_moments(loaded.model, layers, examples)
    assert looks_past_padding(loaded.model)  # as it was found without hooks
    seen = seen_by_layer(layers, loaded.model)
    for index in range(len(examples)):
        loaded.model(torch.tensor([examples[index].ids]))
    for moments, inputs in zip(found, seen, strict=True):
        stacked = torch.cat(inputs).detach()
        assert len(stacked) == len(examples.ids)
        torch.testing.assert_close(moments, stacked.T @ stacked, rtol=1e-4, atol=1e-4)


def test_second_moments_in_a_model_that_reads_padding_are_those_of_each_row_alone() -> None:
    model = bart()
    rows = [[5, 6, 7, 8, 9], [10, 11], [12, 13]]
    examples = Examples.of(
        [Encoded(row, [True] * len(row)) for row in rows],
        [Origin("t", str(number)) for number in range(len(rows))],
    )
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)][:4]
    found = second_moments(model, layers, examples)
    seen = seen_by_layer(layers, model)
    for row in rows:
        model(torch.tensor([row]))
    for moments, inputs in zip(found, seen, strict=True):
        stacked = torch.cat(inputs).detach()
        torch.testing.assert_close(moments, stacked.T @ stacked, rtol=1e-4, atol=1e-4)


def test_eva_starts_along_the_largest_inputs() -> None:
    inputs = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    inputs *= torch.tensor([1.0, 5, 2, 9, 3])
    a, b = eva(inputs.T @ inputs, 2, outputs=3)
    expected = torch.linalg.svd(inputs).Vh[:2]
    torch.testing.assert_close((a * expected).sum(1).abs(), torch.ones(2))
    assert b.equal(torch.zeros(3, 2))


def test_mean_gradient_is_that_of_the_mean_loss_of_all_learned_tokens(
    rows: Path, tiny_model: Path
) -> None:
    loaded = adapted("default", rows, tiny_model)
    examples = workbench(loaded, FIRST).new
    layers = linear_layers(loaded.model)
    found = mean_gradients(loaded.model, layers, examples)
    assert not any(layer.get_base_layer().weight.requires_grad for layer in layers)
    plain = fresh(tiny_model).model
    losses = []
    for index in range(len(examples)):
        ids, learned = torch.tensor(examples[index].ids), torch.tensor(examples[index].learned)
        logits = plain(ids[None]).logits[0, :-1]
        losses.append(nn.functional.cross_entropy(logits, ids[1:], reduction="none")[learned[1:]])
    torch.autograd.backward(torch.cat(losses).mean())
    linear = [m for n, m in plain.named_modules() if isinstance(m, nn.Linear) and n != "lm_head"]
    for ours, module in zip(found, linear, strict=True):
        torch.testing.assert_close(ours, module.weight.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*tie:UserWarning")
def test_mean_gradient_of_an_adapted_head_is_its_own_though_it_shares_the_embeddings(
    rows: Path, tiny_model: Path
) -> None:
    found = []
    for tied in (True, False):
        loaded = fresh(tiny_model)
        head, embeddings = loaded.model.lm_head, loaded.model.get_input_embeddings()
        if not tied:
            head.weight = nn.Parameter(head.weight.detach().clone())
        bench = workbench(loaded, FIRST)
        lora("default", rows, targets=["lm_head"]).adapt(bench)
        found += mean_gradients(bench.model, linear_layers(bench.model), bench.new)
        assert (head.weight is embeddings.weight) is tied
    assert found[0].equal(found[1])


def test_base_weights_are_as_frozen_as_before_where_gradients_cannot_be_taken(
    rows: Path, tiny_model: Path
) -> None:
    loaded = adapted("default", rows, tiny_model)
    layers = linear_layers(loaded.model)
    before = [layer.get_base_layer().weight for layer in layers]
    unknown = Examples.of([Encoded([9999] * 4, [True] * 4)], [Origin("t", "1")])
    with pytest.raises(IndexError):
        mean_gradients(loaded.model, layers, unknown)
    after = [layer.get_base_layer().weight for layer in layers]
    assert all(ours is theirs for ours, theirs in zip(after, before, strict=True))
    assert not any(weight.requires_grad for weight in after)


def test_lora_ga_starts_along_the_gradient() -> None:
    """A along the first two right singular vectors, B along the next two left ones."""
    gradient = torch.diag(torch.tensor([5.0, 4, 3, 2, 1]))[:, [2, 1, 0, 4, 3]]
    a, b = lora_ga(gradient, 2)
    length = 5**0.25 / 4
    torch.testing.assert_close(a.abs(), length * torch.eye(5)[[2, 1]], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(b.abs(), length * torch.eye(5)[:, [2, 3]], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("init", ["eva", "lora_ga"])
def test_init_that_looks_at_rows_looks_at_those_of_the_stage(
    init: str, rows: Path, tiny_model: Path
) -> None:
    def start(stage: Any, **options: Any) -> Weights:
        bench = workbench(fresh(tiny_model), stage)
        lora(init, rows, **options).adapt(bench)
        return {n: p for n, p in weights(bench.model).items() if "lora_A" in n}

    first = start(FIRST)
    assert differing(first, start(FIRST)) == []
    assert differing(first, start(FIRST, calibration_rows=3))
    assert differing(first, start(SECOND))


def test_corda_keeps_its_hands_off_what_the_calibration_rows_need(
    rows: Path, tiny_model: Path
) -> None:
    """What it takes over answers to them less than what pissa takes over, in every layer."""
    found: dict[str, list[float]] = {}
    for init in ("corda", "pissa"):
        loaded = adapted(init, rows, tiny_model)
        layers = linear_layers(loaded.model)
        starts = [factors(layer) for layer in layers]
        seen = seen_by_layer(layers, loaded.model)
        with torch.no_grad():
            loaded.model(IDS)
        found[init] = [
            float((inputs[0] @ a.T @ b.T).norm())
            for (a, b), inputs in zip(starts, seen, strict=True)
        ]
    assert all(corda < pissa for corda, pissa in zip(*found.values(), strict=True))
    assert sum(found["corda"]) < 0.4 * sum(found["pissa"])


def test_calibration_row_that_is_tested_or_holds_a_test_item_is_left_out(tmp_path: Path) -> None:
    tested = colour_task("first", 0).test[0]
    asked = {"role": "user", "content": tested.prompt[0].content}
    answered = {"role": "assistant", "content": tested.answer}
    kept = colours(7, 3)
    source = write_rows(
        tmp_path / "rows.jsonl",
        [
            *kept,
            {"prompt": [asked], "completion": [answered]},
            {"prompt": [asked, answered, asked], "completion": [answered | {"content": "no"}]},
        ],
    )
    method = LoRA(init="corda", calibration=str(source))
    found = [row.prompt[0].content for row in method._calibration(FIRST)]
    assert sorted(found) == [row["prompt"] for row in kept]
    some = LoRA(init="corda", calibration=str(source), calibration_rows=2)
    assert len(some._calibration(FIRST)) == 2


def test_identity_knows_the_calibration_rows(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "rows.jsonl", colours(7, 3))
    method = LoRA(init="corda", calibration=str(source))
    before = method.identity(FIRST)
    assert method.identity(FIRST) == before
    write_rows(source, colours(8, 3))
    assert method.identity(FIRST) != before


def test_calibration_rows_that_are_all_too_long_are_refused(
    tiny_model: Path, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "rows.jsonl", [{"prompt": "x" * 300, "completion": "y"}])
    bench = workbench(fresh(tiny_model), FIRST, settings(max_length=64, too_long="truncate"))
    with pytest.raises(DataError, match="none of 1 rows can calibrate init corda"):
        lora("corda", source).adapt(bench)


def test_rank_that_a_layer_does_not_have_is_refused(rows: Path, tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="init lora_ga cannot take rank 17 from a layer of 64 "):
        adapted("lora_ga", rows, tiny_model, rank=17)
    with pytest.raises(ModelError, match="init pissa cannot take rank 33 from a layer of 64 inpu"):
        adapted("pissa", rows, tiny_model, rank=33)
    adapted("pissa", rows, tiny_model, rank=32)
    with pytest.raises(ModelError, match="init mica cannot take rank 33 from a layer of 64 input"):
        adapted("mica", rows, tiny_model, rank=33)
    adapted("mica", rows, tiny_model, rank=32)


def test_layer_that_is_not_linear_cannot_give_a_part_away(rows: Path, tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="targets names a module that is not linear, but Embeddi"):
        adapted("pissa", rows, tiny_model, targets=["embed_tokens"])


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"init": "corda"}, "init corda and calibration"),
        ({"calibration": "rows.jsonl"}, "init corda and calibration"),
        ({"init": "orthogonal", "rank": 3}, "an even rank"),
        ({"init": "pissa", "dora": True}, "not with pissa"),
        ({"init": "mica", "dora": True}, "not with mica"),
        ({"init": "loftq"}, "input should be 'default', "),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(PlanError, match=fault):
        LoRA(**options)


@pytest.mark.parametrize("init", ["pissa", "olora", "lora_ga"])
def test_weights_that_a_model_stores_transposed_start_just_so(init: str) -> None:
    """GPT-2's; peft's own olora is wrong there."""
    tokenizer = build_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=1, n_head=2)
        model = GPT2LMHeadModel(config).eval()
    before = model(IDS).logits
    bench = workbench(LoadedModel(model, tokenizer), FIRST)
    Compose([LoRA(rank=4, init=init)]).adapt(bench)
    torch.testing.assert_close(bench.model(IDS).logits, before)
    for layer in linear_layers(bench.model):
        a, b = factors(layer)
        weight = layer.get_base_layer().weight.T
        assert (*b.shape, *a.shape) == (weight.shape[0], 4, 4, weight.shape[1])
        if init == "olora":
            torch.testing.assert_close((weight - b @ a)[:, :4], torch.zeros(len(b), 4))


@pytest.mark.parametrize("init", ["default", "eva"])
def test_dora_trains_lengths_and_saves_them(
    init: str, rows: Path, tiny_model: Path, tmp_path: Path
) -> None:
    loaded = fresh(tiny_model)
    train(loaded, FIRST, settings(), tmp_path / "first", lora(init, rows, dora=True))
    lengths = {n: p for n, p in loaded.model.named_parameters() if "magnitude" in n}
    assert len(lengths) == 14
    assert all(parameter.requires_grad for parameter in lengths.values())
    saved = save_stage_model(loaded.model, loaded.tokenizer, tmp_path)
    plain = AutoModelForCausalLM.from_pretrained(tiny_model)
    again = peft.PeftModel.from_pretrained(plain, saved)
    assert again(IDS).logits.equal(loaded.model(IDS).logits)


def test_rslora_scales_by_the_root_of_the_rank(rows: Path, tiny_model: Path) -> None:
    for rslora, scale in ((False, 8.0), (True, 16.0)):
        model = adapted("default", rows, tiny_model, rslora=rslora).model
        assert {layer.scaling["default"] for layer in linear_layers(model)} == {scale}


@pytest.mark.parametrize(
    ("options", "other"),
    [
        ({"dora": True}, {"ewc", "l2sp", "merge"}),
        ({"init": "mica"}, {"ewc", "l2sp"}),
        ({"init": "pissa"}, {"ewc", "merge", "budget"}),
        ({"init": "eva"}, set()),
    ],
)
def test_method_that_takes_the_product_for_the_change_is_excluded_where_it_is_not(
    options: dict[str, Any], other: set[str]
) -> None:
    assert LoRA(**options).excludes.keys() - LoRA.excludes.keys() == other


@every_init
def test_dry_run_needs_neither_weights_nor_rows(init: str) -> None:
    with torch.device("meta"):
        model: Any = GPT2LMHeadModel(GPT2Config(vocab_size=9, n_embd=32, n_layer=1, n_head=2))
    methods = Compose([LoRA(init=init, calibration="absent" if init == "corda" else None)])
    for stage in (FIRST, SECOND):
        model = adapt(methods, model, stage)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(trained) == (4 if init == "mica" else 8)
