"""Dark experience replay against the model as it stood at the end of each stage."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import kl_div, log_softmax

from forgetless.errors import PlanError
from forgetless.methods.batch import IGNORED, Batch
from forgetless.methods.compose import Compose
from forgetless.methods.der import DER
from forgetless.methods.replay import Replay
from forgetless.tasks.render import Encoded
from forgetless.training.schedule import build_schedule
from tests.methods.bigram import answer, batch, bench_of, packed, random_bigram
from tests.training.build import (
    colour_task,
    differing,
    end_stage,
    fresh,
    one_stage_a_task,
    settings,
    train,
    weights,
    workbench,
)

STAGES = one_stage_a_task([colour_task(f"task{n}", n) for n in range(3)])
FIRST, SECOND, THIRD = STAGES
OLD = [answer(1, 2, 3, 4), answer(5, 6), answer(7, 8, 9, 10, 11, asked=3), answer(2, 2, 7)]
NEW = [answer(3, 3, 3), answer(9, 1, 5, 6, asked=2)]


def old(model: Any, rows: Sequence[Encoded] = OLD) -> Batch:
    """A batch of rehearsed rows alone."""
    return batch(model, rows, replayed=range(len(rows)))


def divergence(student: Any, teacher: Any, rows: Sequence[Encoded]) -> float:
    """Sum of KL(teacher || student) over the learned positions of rows, over the vocabulary."""
    total = 0.0
    for row in rows:
        with torch.no_grad():
            theirs, ours = (batch(model, [row]) for model in (teacher, student))
        learned = ours.targets != IGNORED
        log_p, log_q = (log_softmax(one.logits[learned], -1) for one in (theirs, ours))
        total += float(kl_div(log_q, log_p, log_target=True, reduction="sum"))
    return total


def learned(rows: Sequence[Encoded]) -> int:
    return sum(sum(row.learned[1:]) for row in rows)


def der_after(model: Any, rows: Sequence[Encoded] = OLD, stage: Any = FIRST, **options: Any) -> DER:
    """The method after a stage on these rows; the whole vocabulary is kept."""
    der = DER(**{"top_k": 99, **options})
    der.end_stage(bench_of(model, rows, stage))
    return der


def test_term_is_alpha_times_the_divergence_from_the_end_of_the_stage() -> None:
    then, now = random_bigram(seed=1), random_bigram(seed=2)
    der = der_after(then, alpha=0.3)
    expected = 0.3 * divergence(now, then, OLD) / learned(OLD)
    assert expected > 0.1
    assert der.loss(now, old(now)).item() == pytest.approx(expected, rel=1e-4)


def test_term_is_divided_by_the_learned_tokens_of_the_whole_step() -> None:
    then, now = random_bigram(seed=1), random_bigram(seed=2)
    der = der_after(then)
    whole = old(now)
    parts = [replace(old(now, OLD[n : n + 2]), learned_tokens=whole.learned_tokens) for n in (0, 2)]
    added = sum(der.loss(now, part).item() for part in parts)
    assert added == pytest.approx(der.loss(now, whole).item(), rel=1e-5)


def test_rows_in_any_order_are_held_to_their_own_predictions() -> None:
    """Keyed by the example and not by the step: nothing differs, whatever comes beside it."""
    then = random_bigram(seed=1)
    der = der_after(then)
    for order in ([2, 0, 3, 1], [3], [1, 2]):
        assert abs(der.loss(then, old(then, [OLD[n] for n in order])).item()) < 1e-6
    now = random_bigram(seed=2)
    for order in ([2, 0, 3, 1], [3], [1, 2]):
        rows = [OLD[n] for n in order]
        expected = 0.5 * divergence(now, then, rows) / learned(rows)
        assert der.loss(now, old(now, rows)).item() == pytest.approx(expected, rel=1e-4)


def test_new_rows_and_rows_that_are_not_kept_add_nothing() -> None:
    then, now = random_bigram(seed=1), random_bigram(seed=2)
    der = der_after(then)
    mixed = batch(now, [OLD[0], *NEW, OLD[1], OLD[2]], replayed=[2, 3])  # NEW[1] is rehearsed too
    expected = 0.5 * divergence(now, then, [OLD[1]]) / learned([OLD[0], *NEW, OLD[1], OLD[2]])
    assert der.loss(now, mixed).item() == pytest.approx(expected, rel=1e-4)
    assert der.loss(now, batch(now, OLD)).item() == 0


def test_each_stage_keeps_its_own_end_and_a_row_met_again_the_newest() -> None:
    first, second, now = (random_bigram(seed=seed) for seed in (1, 2, 3))
    der = der_after(first, alpha=1.0)
    der.end_stage(bench_of(second, [*NEW, OLD[1]], SECOND))
    for rows, teacher in (([OLD[0], OLD[2]], first), (NEW, second), ([OLD[1]], second)):
        expected = divergence(now, teacher, rows) / learned(rows)
        assert der.loss(now, old(now, rows)).item() == pytest.approx(expected, rel=1e-4)


def test_predictions_are_those_of_the_end_of_the_stage_not_of_its_start(
    tiny_model: Path, tmp_path: Path
) -> None:
    methods = Compose([DER(top_k=500), Replay()])
    loaded = fresh(tiny_model)
    train(loaded, FIRST, settings(steps=6), tmp_path, methods)
    end_stage(methods, loaded, FIRST)
    der = methods.methods[1]
    assert isinstance(der, DER)
    rows = [workbench(loaded, FIRST).new[n] for n in range(12)]
    then = copy.deepcopy(loaded.model)
    assert abs(der.loss(then, old(then, rows)).item()) < 1e-5
    train(loaded, SECOND, settings(steps=6), tmp_path / "second", methods)
    now = loaded.model.eval()
    expected = 0.5 * divergence(now, then, rows) / learned(rows)
    assert expected > 1e-3
    assert der.loss(now, old(now, rows)).item() == pytest.approx(expected, rel=1e-3)


def test_every_row_that_replay_may_draw_is_known(tiny_model: Path) -> None:
    """The key of a row is the same when it is rehearsed as when it was learned."""
    methods = Compose([DER(), Replay(ratio=0.4)])
    loaded = fresh(tiny_model)
    for stage in (FIRST, SECOND):
        end_stage(methods, loaded, stage)
    schedule = build_schedule(workbench(loaded, THIRD), methods, settings())
    pool = set(schedule.examples.keys[schedule.new :].tolist())
    (der,) = (method for method in methods.methods if isinstance(method, DER))
    assert len(pool) == 24
    assert set(der.state().tensors["keys"].tolist()) == pool


def test_so_many_rows_of_each_stage_are_kept_drawn_by_the_stages_seed() -> None:
    model = random_bigram()
    rows = [answer(a, b, b) for a in range(6) for b in range(6)]

    def drawn(stage: Any, size: int) -> set[int]:
        return set(der_after(model, rows, stage, size=size).state().tensors["keys"].tolist())

    assert len(drawn(FIRST, 10)) == 10
    assert drawn(FIRST, 10) == drawn(FIRST, 10)
    assert drawn(FIRST, 10) != drawn(SECOND, 10)
    assert drawn(FIRST, 10) != set(packed(rows[:10]).keys.tolist())
    assert drawn(FIRST, 99) == set(packed(rows).keys.tolist())


def test_state_holds_the_predictions_and_gives_the_same_term_bit_for_bit() -> None:
    then, now = random_bigram(seed=1), random_bigram(seed=2)
    der = der_after(then, top_k=3)
    state = der.state()
    assert {name: value.dtype for name, value in state.tensors.items()} == {
        "keys": torch.int64,
        "starts": torch.int64,
        "indices": torch.int32,
        "values": torch.float32,
    }
    assert state.tensors["values"].shape == (learned(OLD), 4)
    again = DER(top_k=3)
    again.restore(state)
    assert again.loss(now, old(now)).equal(der.loss(now, old(now)))
    again.restore(DER().state())
    assert again.loss(now, old(now)).item() == 0


def test_alpha_zero_is_replay_bit_for_bit_and_keeps_nothing(
    tiny_model: Path, tmp_path: Path
) -> None:
    found = []
    for number, added in enumerate(([], [DER(alpha=0)])):
        methods = Compose([Replay(ratio=0.4), *added])
        loaded = fresh(tiny_model)
        for stage in (FIRST, SECOND):
            train(loaded, stage, settings(), tmp_path / f"{number}{stage.name}", methods)
            end_stage(methods, loaded, stage)
        found.append(weights(loaded.model))
        assert all(not method.state().tensors for method in methods.methods)
    assert differing(*found) == []


def test_acts_from_the_second_stage_on() -> None:
    assert [DER().acts_in(stage) for stage in STAGES] == [False, True, True]
    assert not DER(alpha=0).acts_in(SECOND)


def test_rehearsed_rows_stay_closer_to_what_they_were(tiny_model: Path, tmp_path: Path) -> None:
    """Than with replay alone, in the same steps on the same rows."""
    moved = {}
    for alpha in (0, 20):
        methods = Compose([DER(alpha=alpha, top_k=200), Replay(ratio=0.4)])
        loaded = fresh(tiny_model)
        train(loaded, FIRST, settings(steps=10), tmp_path / f"{alpha}-first", methods)
        end_stage(methods, loaded, FIRST)
        then = copy.deepcopy(loaded.model).eval()
        train(loaded, SECOND, settings(steps=10), tmp_path / f"{alpha}-second", methods)
        rows = [workbench(loaded, FIRST).new[n] for n in range(12)]
        moved[alpha] = divergence(loaded.model.eval(), then, rows)
    assert moved[20] < 0.6 * moved[0]


def test_it_is_refused_without_replay() -> None:
    with pytest.raises(PlanError, match="der needs replay: its predictions are") as caught:
        Compose([DER()])
    assert caught.value.fix == "add it:  methods: [der, replay]"
