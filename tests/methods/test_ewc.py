from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch

from forgetless.errors import ModelError, PlanError
from forgetless.methods.base import State
from forgetless.methods.compose import Compose
from forgetless.methods.ewc import EWC, EWCConfig
from forgetless.methods.lora import LoRA
from forgetless.methods.parts.fisher import fisher_diagonal
from forgetless.models.load import LoadedModel
from forgetless.plan import MethodSpec
from forgetless.tasks.render import Encoded
from tests.methods.bigram import answer
from tests.methods.pulling import moved, pulled
from tests.methods.regression import VOCABULARY, Regression, bench
from tests.training.build import (
    Weights,
    colour_task,
    differing,
    end_stage,
    forward_passes,
    fresh,
    one_stage_a_task,
    settings,
    train,
    weights,
    with_learned_positions,
    workbench,
)

STAGES = one_stage_a_task([colour_task(name, n) for n, name in enumerate(("a", "b", "c"))])
EXAMPLES = [answer(0, 1, 3, 2), answer(4, 2), answer(1, 1, 0, asked=2), answer(3, 0, 4)]
RAW: dict[str, Any] = {"normalise": False, "fisher": "empirical"}


def by_autograd(
    model: Any, examples: Sequence[Encoded], named: dict[str, torch.nn.Parameter]
) -> Weights:
    """Squared gradients of each example's summed loss, by full logits; mean over examples."""
    total = {name: torch.zeros_like(p, dtype=torch.float64) for name, p in named.items()}
    for one in examples:
        ids = torch.tensor([one.ids])
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
        learned = torch.tensor(one.learned[1:])
        chances = logits[0, :-1].log_softmax(-1)[learned]
        loss = -chances.gather(1, ids[0, 1:][learned, None]).sum()
        grads = torch.autograd.grad(loss, list(named.values()))
        for name, gradient in zip(named, grads, strict=True):
            total[name] += gradient.double() ** 2 / len(examples)
    return {name: value.float() for name, value in total.items()}


def importances(method: EWC) -> Weights:
    return method.state().part("importance")


def analytic(model: Regression, examples: Sequence[Encoded]) -> torch.Tensor:
    """Mean over examples of (sum over learned tokens of (p - onehot(y)) x^T)^2."""
    total = torch.zeros_like(model.head.weight)
    for one in examples:
        gradient = torch.zeros_like(total)
        for place in range(1, len(one)):
            if one.learned[place]:
                x = model.features[one.ids[place - 1]]
                p = (model.head.weight.detach() @ x).softmax(0)
                gradient += torch.outer(p - torch.eye(VOCABULARY)[one.ids[place]], x)
        total += gradient**2 / len(examples)
    return total


def test_fisher_of_a_softmax_regression_is_the_analytic_one() -> None:
    model, method = Regression(), EWC(**RAW)
    method.end_stage(bench(model, EXAMPLES))
    torch.testing.assert_close(importances(method)["head.weight"], analytic(model, EXAMPLES))


def test_true_fisher_of_a_softmax_regression_is_the_analytic_one() -> None:
    """Sum over the learned tokens of p (1 - p) x^2, whatever the answers in the data."""
    model = Regression()
    x = model.features[torch.tensor([2, 0])]
    p = (x @ model.head.weight.detach().T).softmax(-1)
    expected = torch.einsum("tk,ti->ki", p * (1 - p), x**2)
    named = dict(model.named_parameters())
    seeds = np.random.default_rng(0).integers(2**31, size=3000).tolist()
    found = fisher_diagonal(model, named, [answer(2, 0, 1)] * 3000, seeds)["head.weight"]
    assert float((found - expected).abs().max()) < 0.05 * float(expected.max())


def test_drawn_answers_depend_on_the_stage_alone() -> None:
    found = []
    for number in (0, 0, 1):
        method = EWC(normalise=False)
        method.end_stage(bench(Regression(), EXAMPLES[:1], STAGES[number]))
        torch.rand(3)
        found.append(importances(method)["head.weight"])
    assert found[0].equal(found[1])
    assert not found[0].equal(found[2])


def test_fisher_of_a_transformer_is_that_of_plain_autograd_tied_weights_included(
    tiny_model: Path,
) -> None:
    loaded = fresh(tiny_model)
    found = workbench(loaded, STAGES[0])
    method = EWC(**RAW)
    method.end_stage(found)
    examples = [found.new[index] for index in range(len(found.new))]
    expected = by_autograd(loaded.model, examples, dict(loaded.model.named_parameters()))
    assert importances(method).keys() == expected.keys()
    for name, value in importances(method).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-9)


def test_pass_leaves_the_model_as_it_was_and_knows_no_dropout() -> None:
    dropping, plain = Regression(dropout=0.5).train(), Regression()
    unused = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    dropping.register_parameter("unused", unused)
    first, second = EWC(**RAW), EWC(**RAW)
    first.end_stage(bench(dropping, EXAMPLES))
    second.end_stage(bench(plain, EXAMPLES))
    assert differing(importances(first), importances(second)) == []  # trained weights alone
    assert dropping.training
    assert dropping.head.weight.requires_grad
    assert not unused.requires_grad
    assert dropping.head.weight.grad is None
    dropping(torch.tensor([1]), None, False).logits.sum().backward()
    assert dropping.head.weight.grad is not None  # nothing takes it away any more


def test_gradient_left_over_from_training_is_not_in_the_fisher() -> None:
    model, method = Regression(), EWC(**RAW)
    model.head.weight.grad = torch.full_like(model.head.weight, 100.0)
    method.end_stage(bench(model, EXAMPLES))
    torch.testing.assert_close(importances(method)["head.weight"], analytic(model, EXAMPLES))


def test_normalised_importances_have_mean_one_over_all_weights(tiny_model: Path) -> None:
    method, raw = EWC(fisher="empirical"), EWC(**RAW)
    for one in (method, raw):
        one.end_stage(workbench(fresh(tiny_model), STAGES[0]))
    entries = torch.cat([value.flatten() for value in importances(method).values()])
    as_found = torch.cat([value.flatten() for value in importances(raw).values()])
    assert float(entries.mean()) == pytest.approx(1)
    torch.testing.assert_close(entries, as_found / as_found.mean())


def test_fisher_is_of_at_most_so_many_different_rows_of_the_stage() -> None:
    class Counts(Regression):
        seen: list[tuple[int, ...]]

        def forward(self, input_ids: torch.Tensor, *args: Any, **more: Any) -> Any:
            self.seen.append(tuple(input_ids[0].tolist()))
            return super().forward(input_ids, *args, **more)

    def seen(samples: int) -> list[tuple[int, ...]]:
        model = Counts()
        model.seen = []
        EWC(samples=samples).end_stage(bench(model, EXAMPLES))
        return sorted(model.seen)

    assert seen(100) == sorted(tuple(one.ids) for one in EXAMPLES)
    assert len(set(seen(3))) == 3


@pytest.mark.parametrize("mode", ["online", "separate"])
def test_gradient_of_the_penalty_is_strength_times_importance_times_drift(
    mode: str, tiny_model: Path
) -> None:
    method = EWC(strength=7.0, mode=mode)
    loaded = fresh(tiny_model)
    method.end_stage(workbench(loaded, STAGES[0]))
    start = weights(loaded.model)
    method.start_stage(workbench(loaded, STAGES[1]), workbench(loaded, STAGES[1]).new)
    assert method.pull(loaded.model) == 0
    moved(loaded.model)
    found = pulled(method, loaded.model)
    for name, now in weights(loaded.model).items():
        analytic = 7.0 * importances(method)[name] * (now - start[name])
        torch.testing.assert_close(found[name], analytic)


def stage_by_stage(method: EWC, model: Any) -> list[tuple[Weights, Weights]]:
    """Importances and weights of three stages; each stage's own importances by a fresh object."""
    found = []
    for stage in STAGES:
        here = bench(model, EXAMPLES[: stage.number], stage)
        method.start_stage(here, here.new)
        moved(model, 0.1 * stage.number)
        own = EWC(EWCConfig.model_validate(method.config.model_dump() | {"mode": "online"}))
        own.end_stage(here)
        method.end_stage(here)
        found.append((importances(own), weights(model)))
    return found


def test_separate_anchors_pull_as_the_sum_of_all_stages_penalties() -> None:
    model, method = Regression(), EWC(mode="separate", strength=2.0, **RAW)
    stages = stage_by_stage(method, model)
    here = bench(model, EXAMPLES, STAGES[2])
    method.start_stage(here, here.new)
    moved(model)
    weight = model.head.weight
    penalty = sum(
        (
            (2.0 / 2) * (f["head.weight"] * (weight - a["head.weight"]) ** 2).sum()
            for f, a in stages
        ),
        start=torch.zeros(()),
    )
    (expected,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(pulled(method, model)["head.weight"], expected)


def test_online_pulls_to_the_last_stage_by_importances_that_fade() -> None:
    model, method = Regression(), EWC(decay=0.5, **RAW)
    (first, _), (second, _), (third, last) = stage_by_stage(method, model)
    name = "head.weight"
    expected = 0.25 * first[name] + 0.5 * second[name] + third[name]
    torch.testing.assert_close(importances(method)[name], expected)
    here = bench(model, EXAMPLES, STAGES[2])
    method.start_stage(here, here.new)
    moved(model)
    pull = pulled(method, model)[name]
    torch.testing.assert_close(pull, expected * (model.head.weight.detach() - last[name]))


@pytest.mark.parametrize("mode", ["online", "separate"])
def test_memory_does_not_grow_with_the_stages(mode: str) -> None:
    model, method = Regression(), EWC(mode=mode)
    sizes = []
    for stage in STAGES:
        method.end_stage(bench(model, EXAMPLES, stage))
        sizes.append({name: value.shape for name, value in method.state().tensors.items()})
    assert sizes[0] == sizes[1] == sizes[2]
    assert len(sizes[0]) == {"online": 1, "separate": 2}[mode]


def test_weight_that_never_mattered_is_pulled_nowhere() -> None:
    """Features that no example has: their importance is 0, and so is every share of it."""
    model, method = Regression(), EWC(mode="separate", **RAW)
    model.features[:, 0] = 0
    stage_by_stage(method, model)
    here = bench(model, EXAMPLES, STAGES[2])
    method.start_stage(here, here.new)
    moved(model)
    pull = pulled(method, model)["head.weight"]
    assert not pull[:, 0].any()
    assert pull[:, 1:].all()


def test_important_weights_stay_put_at_large_strength_and_others_still_move(
    tiny_model: Path, tmp_path: Path
) -> None:
    """Half of all weights, drawn at random, are given an importance."""
    loaded = fresh(tiny_model)
    start = weights(loaded.model)
    generator = torch.Generator().manual_seed(3)
    chosen = {n: torch.rand(w.shape, generator=generator) < 0.5 for n, w in start.items()}
    method = EWC(strength=1e6)
    method.restore(State({f"importance/{n}": where.float() for n, where in chosen.items()}))
    config = settings(steps=30, learning_rate=1e-3, warmup=0)
    trained = train(loaded, STAGES[1], config, tmp_path, Compose([method]))
    assert trained.losses[-1] < trained.losses[0] - 0.5
    way = {name: (now - start[name]).abs() for name, now in weights(loaded.model).items()}
    held = torch.cat([way[name][where] for name, where in chosen.items()])
    loose = torch.cat([way[name][~where] for name, where in chosen.items()])
    assert float(held.max()) < 0.02 * float(loose.mean())
    assert float(loose.mean()) > 3e-3


def test_first_stage_has_no_penalty_and_strength_zero_no_pass_of_its_own(tiny_model: Path) -> None:
    method, off = EWC(), Compose([EWC(strength=0)])
    loaded = fresh(tiny_model)
    here = workbench(loaded, STAGES[0])
    method.start_stage(here, here.new)
    moved(loaded.model)
    assert method.pull(loaded.model) == 0
    with forward_passes(loaded.model) as passed:
        off.end_stage(here)
    assert passed == []
    assert off.states()["ewc"].tensors == {}
    assert [method.acts_in(stage) for stage in STAGES] == [False, True, True]
    assert [off.acting_in(stage) for stage in STAGES] == [[], [], []]


def test_importances_of_half_precision_weights_are_summed_in_single() -> None:
    half, single = Regression(dtype=torch.bfloat16), Regression()
    method, exact = EWC(samples=1000, **RAW), EWC(samples=1000, **RAW)
    method.end_stage(bench(half, EXAMPLES * 40))
    exact.end_stage(bench(single, EXAMPLES * 40))
    found, wanted = (importances(one)["head.weight"] for one in (method, exact))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=0.1, atol=0.01)


def adapted(model: Any, **options: Any) -> Any:
    config: dict[str, Any] = {"r": 2, "lora_alpha": 6, "target_modules": "all-linear"}
    return peft.get_peft_model(
        model, peft.LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **config | options)
    )


@pytest.mark.parametrize("learned_positions", [False, True], ids=["linear", "transposed"])
def test_importance_on_an_adapter_is_that_of_the_merged_weight(
    learned_positions: bool, tiny_model: Path
) -> None:
    loaded = fresh(tiny_model)
    if learned_positions:
        loaded = with_learned_positions(loaded.tokenizer)
    model = adapted(loaded.model, lora_dropout=0.5, fan_in_fan_out=learned_positions)
    found = workbench(LoadedModel(model, loaded.tokenizer), STAGES[0])
    method = EWC(**RAW)
    method.end_stage(found)
    examples = [found.new[index] for index in range(len(found.new))]
    assert not any(p.requires_grad for n, p in model.named_parameters() if "lora_" not in n)
    model.eval()
    merged = model.merge_and_unload()
    named = {
        name: merged.get_parameter(
            name.removeprefix("base_model.model.").replace(".base_layer", "")
        ).requires_grad_()
        for name in importances(method)
    }
    assert len(named) == (4 if learned_positions else 14)
    expected = by_autograd(merged, examples, named)
    for name, value in importances(method).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-2, atol=1e-8)


@pytest.mark.filterwarnings("ignore:.*tie:UserWarning")
def test_adapted_head_has_the_importance_of_its_own_though_it_shares_the_embeddings(
    tiny_model: Path,
) -> None:
    found = []
    for tied in (True, False):
        loaded = fresh(tiny_model)
        head, embeddings = loaded.model.lm_head, loaded.model.get_input_embeddings()
        assert head.weight is embeddings.weight
        if not tied:
            head.weight = torch.nn.Parameter(head.weight.detach().clone())
        torch.manual_seed(0)  # of the adapter
        loaded.model = adapted(loaded.model, target_modules=["lm_head"])
        method = EWC(normalise=False)
        method.end_stage(workbench(loaded, STAGES[0]))
        assert (head.weight is embeddings.weight) is tied
        found.append(importances(method))
    assert differing(*found) == []


@pytest.mark.parametrize("mode", ["online", "separate"])
def test_pull_on_an_adapter_is_the_gradient_of_the_penalty_on_the_product(
    mode: str, tiny_model: Path
) -> None:
    loaded = fresh(tiny_model)
    loaded.model = model = adapted(loaded.model, modules_to_save=["model.norm"])
    method = EWC(strength=5.0, mode=mode)
    method.end_stage(workbench(loaded, STAGES[0]))
    here = workbench(loaded, STAGES[1])
    method.start_stage(here, here.new)
    layers = {
        name: layer for name, layer in model.named_modules() if hasattr(layer, "get_delta_weight")
    }
    before = {name: layer.get_delta_weight("default").detach() for name, layer in layers.items()}
    (norm,) = [n for n, p in model.named_parameters() if p.requires_grad and "lora" not in n]
    start = model.get_parameter(norm).detach().clone()
    moved(model)
    found = pulled(method, model)
    drift = model.get_parameter(norm) - start
    penalty = 5.0 / 2 * (importances(method)[norm] * drift**2).sum()
    for name, layer in layers.items():
        drift = layer.get_delta_weight("default") - before[name]
        penalty = (
            penalty + 5.0 / 2 * (importances(method)[f"{name}.base_layer.weight"] * drift**2).sum()
        )
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    expected = torch.autograd.grad(penalty, list(trained.values()))
    assert found.keys() == trained.keys()
    for name, gradient in zip(trained, expected, strict=True):
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("mode", ["online", "separate"])
def test_adapter_is_held_where_its_product_mattered(
    mode: str, tiny_model: Path, tmp_path: Path
) -> None:
    """Through two stages as a run does them; the way of the product shrinks with the strength."""

    def way(strength: float) -> float:
        methods = Compose([LoRA(rank=2), EWC(strength=strength, mode=mode)])
        loaded = fresh(tiny_model)
        folder = tmp_path / f"{strength:g}"
        train(loaded, STAGES[0], settings(), folder / "1", methods)
        end_stage(methods, loaded, STAGES[0])
        layer = loaded.model.get_submodule("base_model.model.model.layers.0.mlp.up_proj")
        before = layer.get_delta_weight("default").detach()
        train(loaded, STAGES[1], settings(steps=8), folder / "2", methods)
        return float((layer.get_delta_weight("default").detach() - before).norm())

    assert way(1e4) < 0.5 * way(0)


def test_quantised_base_of_an_adapter_is_refused_before_training_with_what_to_do(
    tiny_model: Path,
) -> None:
    loaded = fresh(tiny_model)
    loaded.model = adapted(loaded.model, target_modules=["q_proj"])
    for layer in loaded.model.modules():
        if isinstance(layer, peft.tuners.lora.LoraLayer):
            base: Any = layer.base_layer
            base.weight = torch.nn.Parameter(base.weight.to(torch.int8), requires_grad=False)
    with pytest.raises(ModelError, match="is stored as torch") as caught:
        EWC().refuse_model(loaded.model)
    assert caught.value.fix == "load the model without quantisation, or use  l2sp  instead"


def test_joint_training_is_not_protected() -> None:
    with pytest.raises(PlanError, match="ewc and joint cannot be combined"):
        Compose.from_plan([MethodSpec(name="ewc"), MethodSpec(name="joint")])
