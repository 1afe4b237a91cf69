"""Weights worked out by hand on a model whose predictions are written down."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import log_softmax

from forgetless.errors import PlanError
from forgetless.methods.batch import IGNORED
from forgetless.methods.compose import Compose
from forgetless.methods.token_weights import TokenWeights
from forgetless.tasks.examples import Examples
from forgetless.training.phases import step_loss
from tests.methods.bigram import Bigram, answer, batch, bench_of, packed, random_bigram
from tests.training.build import (
    colour_task,
    fresh,
    one_stage_a_task,
    settings,
    train,
    workbench,
)

FIRST, SECOND = one_stage_a_task([colour_task("first", 0), colour_task("second", 1)])
P = [0.5, 0.3, 0.15, 0.05]  # perplexities 2, 3.33, 6.67 and 20
ROWS = [answer(0, 0, 1), answer(0, 2, 3, 0), answer(1, 1, 0, asked=2), answer(0, 3)]


def flat() -> Bigram:
    """Predicts the same whatever came before."""
    return Bigram([[math.log(p) for p in P]] * 4)


def started(model: Any, rows: Any = ROWS, **options: Any) -> TokenWeights:
    method = TokenWeights(**options)
    method.start_stage(bench_of(model, rows), packed(rows))
    return method


def weighed(method: TokenWeights, model: Any, rows: Any, replayed: Any = ()) -> list[list[float]]:
    """Weights of the learned tokens of each row, in order."""
    made = batch(model, rows, replayed)
    weights = method.weigh(made)
    assert weights.shape == made.targets.shape
    assert not weights.requires_grad
    return [
        found[targets != IGNORED].tolist()
        for found, targets in zip(weights, made.targets, strict=True)
    ]


def test_stm_masks_tokens_of_a_perplexity_above_the_threshold() -> None:
    model = flat()
    assert weighed(started(model), model, ROWS) == [[1, 0], [0, 0, 1], [1], [0]]
    assert weighed(started(model, threshold=5), model, ROWS) == [[1, 1], [0, 0, 1], [1], [0]]
    assert weighed(started(model, threshold=21), model, ROWS) == [[1, 1], [1, 1, 1], [1], [1]]


def test_flow_weighs_rows_by_their_loss_over_the_median() -> None:
    """Means of the learned tokens' losses; the median of four is the middle of two."""
    model = flat()
    a, b, c, d = (-math.log(p) for p in P)
    losses = [(a + b) / 2, (c + d + a) / 3, a, d]
    tau = sum(sorted(losses)[1:3]) / 2
    found = weighed(started(model, kind="flow"), model, ROWS)
    for row, loss in zip(found, losses, strict=True):
        assert row == pytest.approx([math.exp(-loss / tau)] * len(row), rel=1e-5)
    found = weighed(started(model, kind="flow", temperature=0.7), model, ROWS)
    for row, loss in zip(found, losses, strict=True):
        assert row == pytest.approx([math.exp(-loss / 0.7)] * len(row), rel=1e-5)


def test_flow_learns_what_is_known_for_certain_with_weight_1() -> None:
    """Where the median loss is 0, so that tau cannot divide."""
    model = Bigram([[1000.0, 0.0]] * 2)
    rows = [answer(0, 0), answer(1, 0), answer(0, 1)]
    assert weighed(started(model, rows, kind="flow"), model, rows) == [[1], [1], [0]]


def test_dft_weighs_by_the_probability_under_the_model_as_it_is() -> None:
    model = flat()
    method = started(model, kind="dft")
    found = weighed(method, model, ROWS)
    by_hand = [[0.5, 0.3], [0.15, 0.05, 0.5], [0.5], [0.05]]
    assert found == [pytest.approx(row) for row in by_hand]
    with torch.no_grad():
        model.table.zero_()
    assert weighed(method, model, ROWS)[0] == pytest.approx([0.25, 0.25])


def test_gradient_of_dft_is_the_probability_times_that_of_the_cross_entropy() -> None:
    """So it is minus the gradient of the probability: reward 1 for the answer (equation 9)."""
    model = random_bigram(vocabulary=4, seed=3)
    made = batch(model, ROWS)
    loss = step_loss(Compose([TokenWeights(kind="dft")]), model, made)
    (gradient,) = torch.autograd.grad(loss, model.table)
    again = batch(model, ROWS)
    learned = again.targets != IGNORED
    log_p = log_softmax(again.logits[learned], -1).gather(1, again.targets[learned][:, None])
    (expected,) = torch.autograd.grad(-log_p.exp().sum() / learned.sum(), model.table)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["stm", "flow", "dft"])
def test_rehearsed_rows_keep_weight_1(kind: str) -> None:
    """Even where the same example is among the new rows."""
    model = flat()
    found = weighed(started(model, kind=kind), model, ROWS, replayed=[1, 3])
    assert found[1] == [1, 1, 1]
    assert found[3] == [1]
    assert found[0] == weighed(started(model, kind=kind), model, ROWS)[0] != [1, 1]


@pytest.mark.parametrize("kind", ["stm", "flow", "dft"])
def test_weights_belong_to_the_example_wherever_it_stands(kind: str) -> None:
    model = random_bigram(vocabulary=4, seed=1)
    method = started(model, kind=kind, threshold=5)
    alone = [weighed(method, model, [row])[0] for row in ROWS]
    for order in ([3, 1, 0, 2], [2, 1], [1, 1, 0]):
        found = weighed(method, model, [ROWS[n] for n in order])
        assert found == [pytest.approx(alone[n]) for n in order]


@pytest.mark.parametrize("kind", ["stm", "flow"])
def test_weights_are_those_of_the_model_before_the_stage(kind: str) -> None:
    model = flat()
    method = started(model, kind=kind)
    before = weighed(method, model, ROWS)
    with torch.no_grad():
        model.table.copy_(model.table.flip(1))
    assert weighed(method, model, ROWS) == before
    method.start_stage(bench_of(model, ROWS), packed(ROWS))
    assert weighed(method, model, ROWS) != before


def test_masked_tokens_stay_in_the_divisor() -> None:
    """Three of seven are left, and their losses are divided by seven."""
    model = flat()
    made = batch(model, ROWS)
    loss = step_loss(Compose([started(model)]), model, made)
    assert made.learned_tokens == 7
    assert loss.item() == pytest.approx(3 * math.log(2) / 7, rel=1e-5)


def test_only_new_rows_are_looked_at_before_the_stage() -> None:
    """Rows that may be rehearsed have weight 1 anyway; flow's median is of new rows alone."""
    model = flat()
    method = TokenWeights(kind="flow")
    others = packed([answer(0, 3, 3, 3, n) for n in range(4)])
    new = bench_of(model, ROWS)
    method.start_stage(new, Examples.concatenated([new.new, others]))
    assert weighed(method, model, ROWS) == weighed(started(model, kind="flow"), model, ROWS)


def test_unlikely_tokens_are_not_learned(tiny_model: Path, tmp_path: Path) -> None:
    """After training, the model has moved most on the tokens that were not masked."""
    start, loaded = fresh(tiny_model), fresh(tiny_model)
    made = batch(start.model, [workbench(start, FIRST).new[n] for n in range(12)])
    before = made.losses.detach()
    learned = made.targets != IGNORED
    threshold = float(before[learned].median().exp())
    methods = Compose([TokenWeights(threshold=threshold)])
    train(loaded, FIRST, settings(steps=10), tmp_path, methods)
    after = batch(loaded.model, [workbench(start, FIRST).new[n] for n in range(12)]).losses
    gained = before - after.detach()
    likely = learned & (before.exp() <= threshold)
    assert gained[likely].mean() > gained[learned & ~likely].mean() + 0.5


def test_acts_in_every_stage() -> None:
    assert all(TokenWeights().acts_in(stage) for stage in (FIRST, SECOND))


def test_wrong_options_are_refused() -> None:
    for options in ({"kind": "focal"}, {"threshold": 0.5}, {"temperature": 0}):
        ((option, value),) = options.items()
        with pytest.raises(PlanError, match=f"weights.{option}: found {value!r}: input should be"):
            TokenWeights(**options)
