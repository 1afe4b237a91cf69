from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from forgetless.errors import PlanError
from forgetless.methods import agem
from forgetless.methods.agem import AGEM
from forgetless.methods.base import Method
from forgetless.methods.compose import Compose
from forgetless.methods.lora import LoRA
from forgetless.methods.stage import Stage
from forgetless.plan import MethodSpec
from forgetless.tasks.examples import Encoder, Examples
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task, exchange_hash
from tests.methods.bigram import answer
from tests.methods.probes import NoConfig
from tests.methods.regression import Regression, bench
from tests.training.build import (
    Weights,
    die_at,
    differing,
    distance,
    fresh,
    make_task,
    one_stage_a_task,
    settings,
    train,
    weights,
    workbench,
)


def letters(name: str, letter: str) -> Task:
    """Texts of one letter, so that learning another letter undoes it at once."""
    rows = [Row(f"{name}-{n}", (), letter * (6 + n % 3)) for n in range(12)]
    return make_task(name, rows, render="plain", score="nll")


FIRST, SECOND, THIRD = one_stage_a_task([letters(x, x) for x in ("a", "b", "c")])
BATCH = {"steps": 5, "batch_size": 4}


class Watch(Method[NoConfig]):
    """The gradient as the optimiser sees it."""

    name = "watch"
    Config = NoConfig

    def __init__(self) -> None:
        super().__init__(NoConfig())
        self.gradients: list[Weights] = []

    def before_step(self, model: Any) -> None:
        self.gradients.append({n: p.grad.clone() for n, p in model.named_parameters()})

    def after_step(self, model: Any) -> None:
        pass


class Encodes(Encoder):
    """Makes the same of all rows, and says what they were."""

    def __init__(self, examples: Examples) -> None:
        self.rows: list[str] = []
        self.examples = examples

    def encode(self, rows: Sequence[tuple[Task, Row]], *, rehearsal: bool = False) -> Examples:
        assert rehearsal  # such rows are not counted as dropped
        self.rows += [row.id for _, row in rows]
        return self.examples


def remembering(stage: Stage, *examples: Any, **options: Any) -> tuple[AGEM, Regression]:
    """A-GEM on a softmax regression, remembering these examples."""
    method, model = AGEM(**options), Regression()
    here = bench(model, examples, stage)
    here.encoder = Encodes(here.new)
    method.start_stage(here, here.new)
    return method, model


def reference(model: Regression, *examples: Any) -> torch.Tensor:
    """Gradient of the mean loss over all learned tokens, by hand: mean of (p - onehot) x^T."""
    total = torch.zeros_like(model.head.weight)
    count = 0
    for one in examples:
        for place in range(1, len(one)):
            if one.learned[place]:
                x = model.features[one.ids[place - 1]]
                p = (model.head.weight.detach() @ x).softmax(0)
                total += torch.outer(p - torch.eye(5)[one.ids[place]], x)
                count += 1
    return total / count


OLD = [answer(0, 1, 3), answer(2, 4)]


def test_gradient_against_remembered_rows_loses_just_its_part_along_theirs() -> None:
    method, model = remembering(SECOND, *OLD)
    r = reference(model, *OLD)
    g = torch.randn(r.shape, generator=torch.Generator().manual_seed(1)) - 2 * r
    assert (g * r).sum() < 0
    model.head.weight.grad = g.clone()
    method.change_gradient(model)
    found = model.head.weight.grad
    torch.testing.assert_close(found, g - (g * r).sum() / (r * r).sum() * r)
    assert float((found * r).sum()) == pytest.approx(0, abs=1e-5)


def test_gradient_that_agrees_is_unchanged_bit_for_bit() -> None:
    method, model = remembering(SECOND, *OLD)
    g = 1e-3 * torch.randn(5, 3) + reference(model, *OLD)
    gradient = model.head.weight.grad = g.clone()
    method.change_gradient(model)
    assert model.head.weight.grad is gradient
    assert gradient.equal(g)


def test_agreement_is_judged_over_all_parameters_at_once(tiny_model: Path) -> None:
    """One parameter against the reference, another with it and more: nothing is changed; and
    where the whole disagrees, parameters that agree are changed as well."""
    loaded = fresh(tiny_model)
    method = AGEM(rows=12)
    method.keep_rows(FIRST)
    here = workbench(loaded, SECOND)
    method.start_stage(here, here.new)
    named = {n: p for n, p in loaded.model.named_parameters() if p.requires_grad}
    r = by_transformers(loaded, FIRST)
    one, other = "model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight"
    sizes = {name: float((r[name] ** 2).sum()) for name in (one, other)}
    for against, along, changed in ((0.5, 1.0, False), (1.0, 0.5, True)):
        given = {name: torch.zeros_like(p) for name, p in named.items()}
        given[one] = -against / sizes[one] * r[one]
        given[other] = along / sizes[other] * r[other]
        for name, parameter in named.items():
            parameter.grad = given[name].clone()
        method.change_gradient(loaded.model)
        found = {name: p.grad for name, p in named.items() if p.grad is not None}
        assert (differing(found, given) == []) is not changed
        if changed:
            whole = sum(float((value**2).sum()) for value in r.values())
            for name, value in found.items():
                torch.testing.assert_close(
                    value, given[name] + 0.5 / whole * r[name], rtol=1e-3, atol=1e-6
                )
            left = sum(float((found[name] * r[name]).sum()) for name in r)
            assert left == pytest.approx(0, abs=1e-4)


def by_transformers(loaded: Any, stage: Stage) -> Weights:
    """Gradient of the mean loss over the stage's learned tokens, row by row, from full logits."""
    examples = workbench(loaded, stage).new
    learned = sum(sum(examples[index].learned[1:]) for index in range(len(examples)))
    loaded.model.zero_grad()
    for index in range(len(examples)):
        ids = torch.tensor([examples[index].ids])
        labels = ids.masked_fill(~torch.tensor([examples[index].learned]), -100)
        loaded.model(input_ids=ids, labels=labels, num_items_in_batch=learned).loss.backward()
    found = {name: p.grad for name, p in loaded.model.named_parameters()}
    loaded.model.zero_grad()
    return found


def test_weight_without_a_gradient_counts_as_zero_and_gets_its_share(tiny_model: Path) -> None:
    loaded = fresh(tiny_model)
    method = AGEM(rows=12)
    method.keep_rows(FIRST)
    here = workbench(loaded, SECOND)
    method.start_stage(here, here.new)
    r = by_transformers(loaded, FIRST)
    whole = sum(float((value**2).sum()) for value in r.values())
    one = "model.embed_tokens.weight"
    given = -r[one] / float((r[one] ** 2).sum())
    loaded.model.get_parameter(one).grad = given.clone()
    method.change_gradient(loaded.model)
    for name, parameter in loaded.model.named_parameters():
        expected = r[name] / whole + (given if name == one else 0)
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-3, atol=1e-6)


def test_weight_that_no_remembered_row_uses_keeps_its_gradient() -> None:
    method, model = remembering(SECOND, *OLD)
    model.register_parameter("unused", torch.nn.Parameter(torch.ones(2)))
    unused: Any = model.unused
    model.head.weight.grad, unused.grad = -reference(model, *OLD), torch.ones(2)
    method.change_gradient(model)
    assert unused.grad.tolist() == [1, 1]


def protected(
    tiny_model: Path, folder: Path, methods: Compose, stages: list[Stage], **config: Any
) -> Weights:
    loaded = fresh(tiny_model)
    for stage in stages:
        train(loaded, stage, settings(**BATCH | config), folder / stage.name, methods)
        methods.keep_rows(stage)
    return weights(loaded.model)


@pytest.fixture
def conflicts(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each step in which something is remembered, whether the gradients disagreed."""
    found: list[bool] = []
    original: Callable[[Any, Any], float] = agem._dot

    def dot(left: Any, right: Any) -> float:
        value = original(left, right)
        if left is not right:
            found.append(value < 0)
        return value

    monkeypatch.setattr(agem, "_dot", dot)
    return found


def test_old_tasks_are_forgotten_less(
    tiny_model: Path, tmp_path: Path, conflicts: list[bool]
) -> None:
    def loss(methods: Compose) -> float:
        loaded = fresh(tiny_model)
        for stage in (FIRST, SECOND):
            folder = tmp_path / methods.label / stage.name
            train(loaded, stage, settings(**BATCH | {"steps": 12}), folder, methods)
            methods.keep_rows(stage)
        here = workbench(loaded, FIRST)
        ids = [torch.tensor([here.new[index].ids]) for index in range(len(here.new))]
        with torch.no_grad():
            return float(sum(loaded.model(input_ids=x, labels=x).loss for x in ids))

    assert loss(Compose([AGEM()])) < 0.9 * loss(Compose())
    assert any(conflicts)


@pytest.mark.parametrize("lora", [False, True])
def test_one_batch_of_8_and_4_of_2_give_the_same_weights_where_gradients_disagree(
    lora: bool, tiny_model: Path, tmp_path: Path, conflicts: list[bool]
) -> None:
    found = []
    for size in (8, 2):
        methods = Compose([AGEM(), *([LoRA(rank=2)] if lora else [])])
        split = {"batch_size": size, "accumulation": 8 // size, "learning_rate": 1e-2}
        folder = tmp_path / str(size)
        found.append(protected(tiny_model, folder, methods, [FIRST, SECOND], **split))
    assert conflicts[:5] == conflicts[5:]  # once per step, not per pass
    assert any(conflicts)
    change = {name: value for name, value in found[0].items() if not lora or "lora_B" in name}
    start = {n: 0 * v for n, v in change.items()} if lora else weights(fresh(tiny_model).model)
    assert distance(found[0], found[1], change) < 0.02 * distance(start, change)


def test_stage_killed_where_gradients_disagree_goes_on_with_the_same_rows(
    tiny_model: Path, tmp_path: Path, conflicts: list[bool]
) -> None:
    config = settings(**BATCH | {"steps": 12, "checkpoint_every": 4})
    first = Compose([AGEM(rows=2)])
    loaded = fresh(tiny_model)
    train(loaded, FIRST, config, tmp_path / "first", first)
    first.keep_rows(FIRST)
    first.save(tmp_path / "methods")

    def go(folder: Path, kill_at: int | None = None) -> Weights:
        methods = Compose([AGEM(rows=2)])
        methods.restore(tmp_path / "methods")
        again = fresh(tiny_model)
        again.model.load_state_dict(loaded.model.state_dict())

        train(again, SECOND, config, folder, methods, die_at(kill_at))
        return weights(again.model)

    whole = go(tmp_path / "whole")
    assert any(conflicts[4:])
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "killed", kill_at=6)
    assert differing(go(tmp_path / "killed"), whole) == []


def test_projection_comes_before_clipping(
    tiny_model: Path, tmp_path: Path, conflicts: list[bool]
) -> None:
    watch = Watch()
    methods = Compose([AGEM(), watch])
    changes = {"max_grad_norm": 0.01, "learning_rate": 1e-2}
    protected(tiny_model, tmp_path, methods, [FIRST, SECOND], **changes)
    assert any(conflicts)
    for gradients in watch.gradients:
        norm = sum(float(g.square().sum()) for g in gradients.values()) ** 0.5
        assert norm == pytest.approx(0.01, rel=1e-3)


def drawn(method: AGEM, model: Regression, steps: int) -> list[list[int]]:
    """First tokens of the rows that each step looks at."""
    found: list[list[int]] = []
    forward = model.forward

    def watched(input_ids: torch.Tensor, *args: Any, **more: Any) -> Any:
        found.append(sorted(input_ids[:, 0].tolist()))
        return forward(input_ids, *args, **more)

    model.forward = watched  # type: ignore[method-assign]
    for _ in range(steps):
        model.head.weight.grad = torch.zeros_like(model.head.weight)
        method.change_gradient(model)
    del model.forward
    return found


def test_rows_are_drawn_anew_in_each_step_and_none_twice_in_one() -> None:
    old = [answer(token, 0) for token in range(5)]
    method, model = remembering(SECOND, *old, rows=2)
    rows = drawn(method, model, 20)
    assert all(len(set(few)) == 2 for few in rows)
    assert {token for few in rows for token in few} == {0, 1, 2, 3, 4}
    again, model = remembering(SECOND, *old, rows=2)
    assert drawn(again, model, 20) == rows
    other, model = remembering(THIRD, *old, rows=2)
    assert drawn(other, model, 20) != rows
    few, model = remembering(SECOND, *old[:3], rows=50)
    assert drawn(few, model, 1) == [[0, 1, 2]]


def test_memory_is_a_sample_of_all_rows_seen_without_test_items() -> None:
    method = AGEM(size=3)
    for stage in (FIRST, SECOND):
        method.keep_rows(stage)
    kept = method.state().values["memory"]["kept"]
    assert len(kept) == 3
    tested = {exchange_hash(row) for row in FIRST.tasks[0].train[:1]}
    stage = Stage(2, "second", SECOND.tasks, SECOND.earlier, SECOND.held_back | tested)
    everything = AGEM()
    everything.keep_rows(FIRST)
    here = bench(Regression(), [answer(0, 1)], stage)
    here.encoder = encoder = Encodes(here.new)
    everything.start_stage(here, here.new)
    allowed = [row.id for row in FIRST.tasks[0].train if exchange_hash(row) not in tested]
    assert encoder.rows == allowed
    assert 0 < len(allowed) < 12
    assert method.identity(stage) != method.identity(SECOND)


def test_nothing_is_remembered_in_the_first_stage() -> None:
    method = AGEM()
    assert [method.acts_in(stage) for stage in (FIRST, SECOND)] == [False, True]
    method, model = AGEM(), Regression()
    here = bench(model, OLD, FIRST)
    method.start_stage(here, here.new)
    gradient = model.head.weight.grad = torch.ones_like(model.head.weight)
    method.change_gradient(model)
    assert model.head.weight.grad is gradient
    assert gradient.equal(torch.ones_like(gradient))


def test_model_stays_in_the_mode_it_is_in() -> None:
    for training in (True, False):
        method, model = remembering(SECOND, *OLD)
        model.train(training)
        model.head.weight.grad = torch.zeros_like(model.head.weight)
        method.change_gradient(model)
        assert model.training is training


def test_dropout_of_a_step_is_the_same_in_every_process_and_other_in_every_step() -> None:
    def changed(noise: int, steps: int = 1) -> torch.Tensor:
        """The gradient after a step, in a process whose own rows have taken some noise."""
        method, _ = remembering(SECOND, *OLD)
        model = Regression(dropout=0.5)
        torch.manual_seed(0)
        torch.rand(noise)
        for _ in range(steps):
            model.head.weight.grad = -reference(model, *OLD)
            method.change_gradient(model)
        assert model.head.weight.grad is not None
        return model.head.weight.grad

    assert changed(0).equal(changed(7))
    assert not changed(0, steps=2).equal(changed(0))


def test_dropout_on_remembered_rows_takes_no_random_numbers_from_training() -> None:
    method, _ = remembering(SECOND, *OLD)
    model = Regression(dropout=0.5)
    model.head.weight.grad = torch.zeros_like(model.head.weight)
    before = torch.get_rng_state()
    method.change_gradient(model)
    assert torch.get_rng_state().equal(before)


def test_joint_training_remembers_everything_already() -> None:
    with pytest.raises(PlanError, match="agem and joint cannot be combined"):
        Compose.from_plan([MethodSpec(name="agem"), MethodSpec(name="joint")])
