"""Distillation against an independent frozen copy of the model and torch's own divergence."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch

from forgetless.errors import ModelError, PlanError
from forgetless.methods.batch import IGNORED, Batch
from forgetless.methods.compose import Compose
from forgetless.methods.kl import KL
from forgetless.methods.parts.passes import batch_of
from forgetless.methods.replay import Replay
from forgetless.methods.stage import Workbench
from forgetless.models.load import LoadedModel, load_model
from forgetless.models.save import save_stage_model
from forgetless.plan import MethodSpec, ModelConfig
from forgetless.tasks.examples import Examples
from tests.methods.bigram import answer, bench_of, packed, random_bigram
from tests.methods.bigram import batch as bigram_batch
from tests.methods.parts.test_soft_targets import by_torch
from tests.training.build import (
    adapt,
    colour_task,
    differing,
    distance,
    end_stage,
    forward_passes,
    fresh,
    one_stage_a_task,
    settings,
    train,
    weights,
    workbench,
)

STAGES = one_stage_a_task([colour_task("first", 0), colour_task("second", 1)])
FIRST, SECOND = STAGES
both_ways = pytest.mark.parametrize("direction", ["forward", "reverse"])
with_or_without_adapter = pytest.mark.parametrize("adapted", [False, True])


def plan(**methods: dict[str, Any]) -> Compose:
    return Compose.from_plan([MethodSpec(name=n, options=o) for n, o in methods.items()])


def made(model: Any, examples: Examples, replayed: Sequence[int] = ()) -> Batch:
    """The first rows of some examples as training sees them, rows named rehearsed."""
    found = batch_of(model, [examples[index] for index in range(min(8, len(examples)))])
    rehearsed = torch.tensor([row in replayed for row in range(len(found.ids))])
    return replace(found, replayed=rehearsed)


def some_model(folder: Path, adapted: bool, dropout: float = 0.0) -> tuple[Any, Workbench]:
    """A model in training, whose adapter does something, and the bench of the first stage."""
    loaded = fresh(folder)
    if adapted:
        lora = plan(lora={"rank": 4, "dropout": dropout})
        loaded.model = adapt(lora, loaded.model, FIRST)
        move(loaded.model, seed=7)
    return loaded.model.train(), workbench(loaded, FIRST)


def move(model: Any, seed: int = 0) -> None:
    """Change all that is trained, as some steps would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.03 * torch.randn(parameter.shape, generator=generator))


def gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    named = {n: p for n, p in model.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {n: torch.zeros(()) if g is None else g for n, g in zip(named, found, strict=True)}


@both_ways
@with_or_without_adapter
def test_copy_is_exactly_zero_at_step_0_and_so_is_its_gradient(
    tiny_model: Path, adapted: bool, direction: str
) -> None:
    model, bench = some_model(tiny_model, adapted)
    kl = KL(teacher="copy", direction=direction, temperature=1.5)
    kl.start_stage(bench, bench.new)
    loss = kl.loss(model, made(model, bench.new))
    assert loss.item() == 0
    assert not any(gradient.any() for gradient in gradients(model, loss).values())


@both_ways
def test_cache_is_zero_at_step_0_to_rounding(tiny_model: Path, direction: str) -> None:
    model, bench = some_model(tiny_model, adapted=False)
    kl = KL(teacher="cached", direction=direction, top_k=8)
    kl.start_stage(bench, bench.new)
    loss = kl.loss(model, made(model, bench.new))
    assert abs(loss.item()) < 1e-5
    assert all(gradient.abs().max() < 1e-5 for gradient in gradients(model, loss).values())


@both_ways
@with_or_without_adapter
def test_value_and_gradient_are_those_with_an_independent_second_model(
    tiny_model: Path, adapted: bool, direction: str
) -> None:
    model, bench = some_model(tiny_model, adapted)
    teacher = copy.deepcopy(model).eval()
    kl = KL(strength=0.7, teacher="copy", direction=direction, temperature=2.0)
    kl.start_stage(bench, bench.new)
    move(model)
    batch = made(model, bench.new)
    loss = kl.loss(model, batch)

    learned = batch.targets != IGNORED
    with torch.no_grad():
        wanted = made(teacher, bench.new).logits[learned]
    again = made(model, bench.new).logits[learned]
    apart = by_torch(again / 2, wanted / 2, forward=direction == "forward")
    expected = 0.7 * 2.0**2 * apart / learned.sum()
    assert expected > 0.01
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-6)
    ours, theirs = gradients(model, loss), gradients(model, expected)
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-3, atol=1e-6)


def test_gradient_of_the_data_is_not_disturbed_by_the_teachers_pass(tiny_model: Path) -> None:
    """The model's graph is built before the teacher's pass and used after it."""
    model, bench = some_model(tiny_model, adapted=True)
    kl = KL(teacher="copy")
    kl.start_stage(bench, bench.new)
    move(model)
    alone = gradients(model, made(model, bench.new).logits.square().mean())
    batch = made(model, bench.new)
    kl.loss(model, batch)
    found = gradients(model, batch.logits.square().mean())
    assert all(found[name].equal(alone[name]) for name in alone)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@with_or_without_adapter
def test_cache_of_the_whole_vocabulary_agrees_with_a_copy(
    tiny_model: Path, adapted: bool, temperature: float
) -> None:
    model, bench = some_model(tiny_model, adapted)
    found = []
    methods = [
        KL(teacher=teacher, top_k=10**6, temperature=temperature) for teacher in ("copy", "cached")
    ]
    for kl in methods:
        kl.start_stage(bench, bench.new)
    move(model)
    for kl in methods:
        loss = kl.loss(model, made(model, bench.new))
        found.append((loss, gradients(model, loss)))
    (first, slopes), (second, others) = found
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-6)
    for name in slopes:
        torch.testing.assert_close(slopes[name], others[name], rtol=1e-3, atol=1e-6)


def test_coarser_cache_sees_less_of_the_divergence(tiny_model: Path) -> None:
    """Merging tokens into one bin never makes two distributions differ more."""
    model, bench = some_model(tiny_model, adapted=False)
    methods = [KL(teacher="cached", top_k=top_k) for top_k in (1, 8, 64, 10**6)]
    for kl in methods:
        kl.start_stage(bench, bench.new)
    move(model)
    values = [kl.loss(model, made(model, bench.new)).item() for kl in methods]
    assert values == sorted(values)
    assert 0 < values[0] < 0.9 * values[-1]


@pytest.mark.parametrize("teacher", ["copy", "cached"])
def test_padded_and_unlearned_positions_add_nothing(tiny_model: Path, teacher: str) -> None:
    """Rows of different lengths together add up to each by itself."""
    model, _ = some_model(tiny_model, adapted=False)
    rows = [answer(*range(5, 5 + length), asked=3) for length in (6, 17, 4, 11)]
    bench = bench_of(model, rows)
    kl = KL(teacher=teacher)
    kl.start_stage(bench, bench.new)
    move(model)
    together = made(model, bench.new)
    singles = [made(model, packed([row])) for row in rows]
    expected = sum(kl.loss(model, one).item() * one.learned_tokens for one in singles)
    assert together.learned_tokens == 3 + 14 + 1 + 8
    assert kl.loss(model, together).item() * together.learned_tokens == pytest.approx(
        expected, rel=1e-4
    )


@pytest.mark.parametrize("teacher", ["copy", "cached"])
def test_parts_of_a_step_add_up_to_the_whole(tiny_model: Path, teacher: str) -> None:
    model, bench = some_model(tiny_model, adapted=False)
    kl = KL(teacher=teacher)
    kl.start_stage(bench, bench.new)
    move(model)
    examples = [bench.new[index] for index in range(8)]
    whole = batch_of(model, examples)
    parts = [
        replace(batch_of(model, examples[n : n + 2]), learned_tokens=whole.learned_tokens)
        for n in range(0, 8, 2)
    ]
    added = sum(kl.loss(model, part).item() for part in parts)
    assert added == pytest.approx(kl.loss(model, whole).item(), rel=1e-4)


@pytest.mark.parametrize("teacher", ["copy", "cached"])
def test_only_the_rows_asked_for_are_distilled(tiny_model: Path, teacher: str) -> None:
    model, bench = some_model(tiny_model, adapted=False)
    methods = {rows: KL(teacher=teacher, rows=rows) for rows in ("new", "replayed", "both")}
    old = workbench(LoadedModel(model, bench.tokenizer), SECOND).new
    examples = Examples.concatenated([bench.new, old])
    mixed = [bench.new[0], old[0], bench.new[1], old[1], old[2]]
    for kl in methods.values():
        kl.start_stage(bench, examples)
    move(model)
    batch = replace(batch_of(model, mixed), replayed=torch.tensor([False, True, False, True, True]))
    found = {rows: kl.loss(model, batch).item() for rows, kl in methods.items()}
    assert found["new"] + found["replayed"] == pytest.approx(found["both"], rel=1e-4)
    alone = replace(
        batch_of(model, [old[0], old[1], old[2]]),
        replayed=torch.ones(3, dtype=torch.bool),
        learned_tokens=batch.learned_tokens,
    )
    expected = methods["both"].loss(model, alone).item()
    assert found["replayed"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.usefixtures("padded")
def test_rows_that_are_not_distilled_are_not_given_to_the_teacher(tiny_model: Path) -> None:
    model, bench = some_model(tiny_model, adapted=False)
    old = workbench(LoadedModel(model, bench.tokenizer), SECOND).new
    examples = Examples.concatenated([bench.new, old])
    for rows, cached, copied in (("new", 12, 6), ("replayed", 12, 2), ("both", 24, 8)):
        kl = KL(teacher="cached", rows=rows)
        with forward_passes(model) as passed:
            kl.start_stage(bench, examples)
        assert sum(passed) == cached
        kl = KL(teacher="copy", rows=rows)
        kl.start_stage(bench, examples)
        batch = made(model, examples, replayed=(3, 5))
        with forward_passes(model) as passed:
            kl.loss(model, batch)
        assert passed == [copied]


@pytest.mark.usefixtures("padded")
@pytest.mark.parametrize(("rows", "distilled"), [("new", 8), ("replayed", 2), ("both", 10)])
def test_cache_is_of_the_rows_that_will_be_drawn(
    rows: str, distilled: int, tiny_model: Path
) -> None:
    model, bench = some_model(tiny_model, adapted=False)
    old = workbench(LoadedModel(model, bench.tokenizer), SECOND).new
    bench.drawn = np.array([*range(8), 13, 20])
    with forward_passes(model) as passed:
        KL(teacher="cached", rows=rows).start_stage(bench, Examples.concatenated([bench.new, old]))
    assert sum(passed) == distilled


@pytest.mark.usefixtures("padded")
def test_run_caches_no_more_rows_than_it_learns_from(tiny_model: Path, tmp_path: Path) -> None:
    methods = plan(kl={"teacher": "cached"}, replay={"ratio": 0.5})
    methods.keep_rows(FIRST)
    loaded = fresh(tiny_model)
    with forward_passes(loaded.model) as passed:
        trained = train(loaded, SECOND, settings(steps=1), tmp_path, methods)
    assert sum(passed) == 2 * len(trained.schedule) < len(trained.schedule.examples)


@pytest.mark.parametrize("teacher", ["auto", "copy", "cached"])
def test_where_nothing_is_replayed_distilling_replayed_rows_is_plain_training(
    tiny_model: Path, tmp_path: Path, teacher: str
) -> None:
    plain, found = fresh(tiny_model), fresh(tiny_model)
    train(plain, FIRST, settings(), tmp_path / "plain")
    kl = {"rows": "replayed", "teacher": teacher}
    train(found, FIRST, settings(), tmp_path / "kl", plan(kl=kl))
    assert differing(weights(plain.model), weights(found.model)) == []


def test_teacher_has_no_dropout_and_the_model_keeps_its_own(tiny_model: Path) -> None:
    """The same draws with and without: a teacher's pass takes no random number."""
    model, bench = some_model(tiny_model, adapted=True, dropout=0.5)
    kl = KL(teacher="copy")
    kl.start_stage(bench, bench.new)
    batch = made(model, bench.new)
    state = torch.get_rng_state()
    loss = kl.loss(model, batch)
    assert torch.get_rng_state().equal(state)
    assert all(module.training for module in model.modules())
    learned = batch.targets != IGNORED
    with torch.no_grad():
        still = made(model.eval(), bench.new).logits[learned]
    expected = by_torch(batch.logits[learned], still, forward=True) / learned.sum()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert loss.item() > 1e-3  # the model's own dropout


def test_weights_are_what_they_were_when_the_teachers_pass_fails(tiny_model: Path) -> None:
    model, bench = some_model(tiny_model, adapted=True)
    kl = KL(teacher="copy")
    kl.start_stage(bench, bench.new)
    move(model)
    batch = made(model, bench.new)
    start, objects = weights(model), dict(model.named_parameters())

    def fail(*_: Any) -> None:
        raise RuntimeError("out of memory")

    hook = model.get_base_model().model.norm.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        kl.loss(model, batch)
    hook.remove()
    assert differing(weights(model), start) == []
    assert all(p is objects[name] for name, p in model.named_parameters())
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("teacher", ["copy", "cached"])
@with_or_without_adapter
def test_second_stage_is_held_to_its_own_start(
    tiny_model: Path,
    tmp_path: Path,
    teacher: str,
    adapted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(KL, "let_go", lambda _: None)  # to look at the first stage's teacher
    methods = plan(kl={"teacher": teacher}, **({"lora": {"rank": 4}} if adapted else {}))
    loaded = fresh(tiny_model)
    train(loaded, FIRST, settings(steps=8), tmp_path, methods)
    bench = workbench(loaded, SECOND)
    kl = methods.methods[0]
    assert isinstance(kl, KL)
    loaded.model.train()
    assert kl.loss(loaded.model, made(loaded.model, workbench(loaded, FIRST).new)).item() > 1e-4
    kl.start_stage(bench, bench.new)
    assert kl.loss(loaded.model, made(loaded.model, bench.new)).item() == pytest.approx(
        0, abs=0 if teacher == "copy" else 1e-6
    )


@pytest.mark.parametrize("teacher", ["copy", "cached"])
def test_base_is_the_model_without_its_adapter_in_every_stage(
    tiny_model: Path, tmp_path: Path, teacher: str
) -> None:
    """Also for a fresh object that took the state back, as after a kill."""
    options = {"teacher": teacher, "reference": "base", "top_k": 300}
    methods = plan(kl=options, lora={"rank": 4})
    loaded = fresh(tiny_model)
    train(loaded, FIRST, settings(steps=8), tmp_path / "first", methods)
    end_stage(methods, loaded, FIRST)
    methods.save(tmp_path / "methods")
    again = plan(kl=options, lora={"rank": 4})
    again.restore(tmp_path / "methods")
    bench = workbench(loaded, SECOND)
    found = []
    for composed in (methods, again):
        kl = composed.methods[0]
        assert isinstance(kl, KL)
        kl.start_stage(bench, bench.new)
        found.append(kl.loss(loaded.model, made(loaded.model, bench.new)).item())
    batch = made(loaded.model, bench.new)
    learned = batch.targets != IGNORED
    with torch.no_grad(), loaded.model.disable_adapter():
        untouched = made(loaded.model, bench.new).logits[learned]
    expected = by_torch(batch.logits[learned], untouched, forward=True) / learned.sum()
    assert expected > 1e-3
    assert found == [pytest.approx(expected.item(), rel=1e-3)] * 2


def test_base_is_refused_where_training_overwrites_it(tiny_model: Path) -> None:
    loaded = fresh(tiny_model)
    bench = workbench(loaded, FIRST)
    with pytest.raises(ModelError, match="the base model does not stay as it was") as caught:
        KL(reference="base").start_stage(bench, bench.new)
    assert caught.value.fix is not None
    assert "lora" in caught.value.fix


@pytest.mark.parametrize("again", [None, "another"])
def test_base_is_refused_once_its_adapter_was_merged_away(
    tiny_model: Path, again: str | None
) -> None:
    model, bench = some_model(tiny_model, adapted=True)
    kl = KL(reference="base")
    kl.start_stage(bench, bench.new)
    bench.model = model.merge_and_unload()
    if again is not None:
        lora = peft.LoraConfig(r=2, target_modules="all-linear")
        bench.model = peft.get_peft_model(bench.model, lora, adapter_name=again)
    with pytest.raises(ModelError, match="the base model does not stay as it was"):
        kl.start_stage(bench, bench.new)


def test_adapter_trained_with_a_copy_goes_on_from_disk_as_if_at_once(
    tiny_model: Path, tmp_path: Path
) -> None:
    options: dict[str, dict[str, Any]] = {
        "kl": {"teacher": "copy", "reference": "base"},
        "lora": {"rank": 4, "dropout": 0.1},
        "replay": {"ratio": 0.3},
    }
    at_once, loaded = plan(**options), fresh(tiny_model)
    for stage in STAGES:
        train(loaded, stage, settings(), tmp_path / f"once-{stage.number}", at_once)
        end_stage(at_once, loaded, stage)
    previous: Path | None = None
    for stage in STAGES:
        methods = plan(**options)
        if previous is not None:
            methods.restore(previous / "methods")
        parted = load_model(ModelConfig(name=str(tiny_model)), stage=previous)
        train(parted, stage, settings(), tmp_path / stage.name, methods)
        previous = tmp_path / f"done-{stage.number}"
        previous.mkdir()
        save_stage_model(parted.model, parted.tokenizer, previous)
        end_stage(methods, parted, stage)
        methods.save(previous / "methods")
    assert differing(weights(parted.model), weights(loaded.model)) == []


def test_base_that_comes_from_disk_is_kept_beside_its_adapter(tiny_model: Path) -> None:
    """At the stage's start and after it, when a killed stage goes on; another device is played."""
    model, bench = some_model(tiny_model, adapted=True)
    kl, again = (KL(teacher="copy", reference="base") for _ in range(2))
    kl.start_stage(bench, bench.new)
    bench.model = model.to("meta")
    again.restore(kl.state())
    again.start_stage(bench, bench.new)
    assert {value.device.type for value in again.state().tensors.values()} == {"meta"}
    again.restore(kl.state())
    assert {value.device.type for value in again.state().tensors.values()} == {"meta"}


def test_copy_on_the_cpu_teaches_the_same(tiny_model: Path) -> None:
    model, bench = some_model(tiny_model, adapted=True)
    methods = [KL(teacher="copy"), KL(teacher="copy", offload=True)]
    for kl in methods:
        kl.start_stage(bench, bench.new)
    move(model)
    first, second = (kl.loss(model, made(model, bench.new)) for kl in methods)
    assert first.equal(second)


@pytest.mark.parametrize(
    ("adapted", "old", "per_step"), [(True, 0, 0), (True, 12, 0), (True, 13, 1), (False, 99, 0)]
)
def test_auto_caches_unless_an_adapter_meets_more_rows_than_will_be_drawn(
    tiny_model: Path, adapted: bool, old: int, per_step: int
) -> None:
    """A cache takes a pass over all old rows; with 12 new rows, up to 12 of them are worth it."""
    model, _ = some_model(tiny_model, adapted)
    bench = bench_of(model, [answer(1, 2, n) for n in range(12)])
    pool = packed([answer(3, 4, n) for n in range(old)])
    kl = KL()
    kl.start_stage(bench, bench.new)  # an earlier stage, with a cache
    kl.start_stage(bench, Examples.concatenated([bench.new, pool]))
    batch = made(model, bench.new)
    with forward_passes(model) as passed:
        kl.loss(model, batch)
    assert len(passed) == per_step


@with_or_without_adapter
def test_exactly_zero_under_autocast_too_and_not_after_a_step(
    tiny_model: Path, adapted: bool
) -> None:
    model, bench = some_model(tiny_model, adapted)
    teacher = copy.deepcopy(model).eval()
    kl = KL(teacher="copy")
    kl.start_stage(bench, bench.new)
    with torch.autocast("cpu", torch.bfloat16):
        assert kl.loss(model, made(model, bench.new)).item() == 0
    move(model)
    with torch.autocast("cpu", torch.bfloat16):
        batch = made(model, bench.new)
        loss = kl.loss(model, batch)
        learned = batch.targets != IGNORED
        wanted = made(teacher, bench.new).logits[learned]
        again = made(model, bench.new).logits[learned].float()
    expected = by_torch(again, wanted.float(), forward=True) / learned.sum()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-3)
    ours, theirs = gradients(model, loss), gradients(model, expected)
    scale = max(float(gradient.abs().max()) for gradient in theirs.values())
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=0.05, atol=0.02 * scale)


@pytest.mark.parametrize("teacher", ["copy", "cached"])
def test_recomputed_activations_train_the_same(
    tiny_model: Path, tmp_path: Path, teacher: str
) -> None:
    found = []
    for recompute in (False, True):
        loaded = fresh(tiny_model)
        config = settings(gradient_checkpointing=recompute)
        methods = plan(kl={"teacher": teacher, "strength": 5.0})
        train(loaded, FIRST, config, tmp_path / str(recompute), methods)
        found.append(weights(loaded.model))
    way = distance(found[0], weights(fresh(tiny_model).model))
    assert distance(found[0], found[1]) < 0.01 * way


def test_copy_and_cache_of_the_whole_vocabulary_train_alike(
    tiny_model: Path, tmp_path: Path
) -> None:
    found = []
    for teacher in ("copy", "cached"):
        loaded = fresh(tiny_model)
        methods = plan(kl={"strength": 2.0, "teacher": teacher, "top_k": 500})
        train(loaded, FIRST, settings(steps=6), tmp_path / teacher, methods)
        found.append(weights(loaded.model))
    way = distance(found[0], weights(fresh(tiny_model).model))
    assert distance(found[0], found[1]) < 0.01 * way


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("teacher", ["copy", "cached"])
def test_strong_distillation_keeps_predictions_where_they_were(
    tiny_model: Path, tmp_path: Path, teacher: str, temperature: float
) -> None:
    start = fresh(tiny_model).model.eval()
    moved = {}
    for strength in (0, 30):
        loaded = fresh(tiny_model)
        options = {"strength": strength, "teacher": teacher, "temperature": temperature}
        options |= {"top_k": 200}  # an untrained model's predictions are flat
        config = settings(steps=20)
        train(loaded, FIRST, config, tmp_path / str(strength), plan(kl=options))
        examples = workbench(loaded, FIRST).new
        with torch.no_grad():
            now = made(loaded.model.eval(), examples)
            then = made(start, examples)
        learned = now.targets != IGNORED
        moved[strength] = by_torch(now.logits[learned], then.logits[learned], forward=True).item()
    assert moved[30] < 0.2 * moved[0]


def test_acts_in_every_stage_unless_its_strength_is_zero() -> None:
    for rows in ("new", "replayed", "both"):
        assert [KL(rows=rows).acts_in(stage) for stage in STAGES] == [True, True]
        assert not KL(rows=rows, strength=0).acts_in(SECOND)


@pytest.mark.usefixtures("padded")
def test_strength_zero_takes_no_teacher(tiny_model: Path) -> None:
    model, bench = some_model(tiny_model, adapted=False)
    kl = KL(strength=0, teacher="cached")
    with forward_passes(model) as passed:
        kl.start_stage(bench, bench.new)
        batch = made(model, bench.new)
        assert kl.loss(model, batch).item() == 0
    assert passed == [8]


def test_rehearsed_rows_are_distilled_in_training(tiny_model: Path, tmp_path: Path) -> None:
    """With new rows left out, the second stage differs from plain replay's in rehearsal alone."""
    found = {}
    for strength in (0, 20):
        loaded = fresh(tiny_model)
        methods = Compose([KL(strength=strength, rows="replayed"), Replay(ratio=0.5)])
        for stage in STAGES:
            train(loaded, stage, settings(steps=6), tmp_path / f"{strength}{stage.name}", methods)
            end_stage(methods, loaded, stage)
            found[strength, stage.number] = weights(loaded.model)
    assert differing(found[0, 1], found[20, 1]) == []
    assert differing(found[0, 2], found[20, 2])


def test_teacher_of_a_bigram_model_is_worked_out_by_hand() -> None:
    """Loss = 3 * T^2 * KL / learned tokens, one learned token out of four of the step."""
    model = random_bigram(vocabulary=4, seed=1)
    bench = bench_of(model, [answer(0, 3)])
    kl = KL(strength=3.0, temperature=2.0, teacher="copy")
    kl.start_stage(bench, bench.new)
    before = model.table.detach()[0].clone()
    with torch.no_grad():
        model.table[0] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    p = (before / 2).softmax(-1)
    q = torch.tensor([0.5, 0.0, 0.0, 0.0]).softmax(-1)
    by_hand = 3.0 * 4.0 * float((p * (p / q).log()).sum()) / 4
    found = kl.loss(model, bigram_batch(model, [answer(0, 3)], learned_tokens=4))
    assert found.item() == pytest.approx(by_hand, rel=1e-5)


def test_wrong_options_are_refused() -> None:
    for options in ({"strength": -1}, {"temperature": 0}, {"rows": "old"}, {"top_k": 0}):
        ((option, value),) = options.items()
        with pytest.raises(PlanError, match=f"kl.{option}: found {value!r}: input should be"):
            KL(**options)
