"""Divergences against torch's own, and predictions found again wherever their example turns up."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import torch
from torch.nn.functional import kl_div, log_softmax

from forgetless.methods.batch import IGNORED
from forgetless.methods.parts import soft_targets
from forgetless.methods.parts.soft_targets import SoftTargets, divergence, summed
from tests.methods.bigram import Bigram, answer, batch, packed, random_bigram

ROWS = [answer(1, 2, 3, 4), answer(5, 6), answer(7, 8, 9, 10, 11, asked=3), answer(2, 2, 7)]
EVERY_ROW = range(len(ROWS))
both_ways = pytest.mark.parametrize("forward", [True, False])


def by_torch(student: torch.Tensor, teacher: torch.Tensor, *, forward: bool) -> torch.Tensor:
    """torch's kl_div(input, target) is KL(target || input)."""
    log_q, log_p = log_softmax(student, -1), log_softmax(teacher, -1)
    first, second = (log_p, log_q) if forward else (log_q, log_p)
    return kl_div(second, first, log_target=True, reduction="sum")


def all_rows(made: Any) -> torch.Tensor:
    return torch.ones(len(made.ids), dtype=torch.bool)


def kept(model: Any, top_k: int, temperature: float = 1.0) -> SoftTargets:
    return SoftTargets.of(model, packed(ROWS), EVERY_ROW, top_k, temperature)


def test_forward_and_reverse_are_those_worked_out_by_hand() -> None:
    teacher, student = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()
    forward, _ = divergence(student, teacher, forward=True)
    reverse, _ = divergence(student, teacher, forward=False)
    assert forward.item() == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))
    assert reverse.item() == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5))


@both_ways
def test_value_and_gradient_are_those_of_torch(forward: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    student = (3 * torch.randn(7, 50, generator=generator)).requires_grad_()
    teacher = 3 * torch.randn(7, 50, generator=generator) + 20  # a shift is no difference
    expected = by_torch(student, teacher, forward=forward)
    (gradient,) = torch.autograd.grad(expected, student)
    value, ours = divergence(student.detach(), teacher, forward=forward)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours, gradient, rtol=1e-4, atol=1e-6)


@both_ways
def test_nothing_differs_from_itself_bit_for_bit(forward: bool) -> None:
    logits = 5 * torch.randn(20, 300, generator=torch.Generator().manual_seed(0))
    value, gradient = divergence(logits, logits.clone(), forward=forward)
    assert value.item() == 0
    assert not gradient.any()


@both_ways
@pytest.mark.parametrize("entries", [1, 30, 10**6])
def test_sum_is_over_the_positions_that_count_and_so_is_its_gradient(
    forward: bool, entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few of them are worked out at once."""
    monkeypatch.setitem(soft_targets.ENTRIES_AT_ONCE, "cpu", entries)
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 4, 10, generator=generator).requires_grad_()
    teacher = torch.randn(12, 10, generator=generator)
    found = torch.rand(3, 4, generator=generator) < 0.6
    wanted = teacher[found.flatten()]

    def terms(some: torch.Tensor, part: slice) -> tuple[torch.Tensor, torch.Tensor]:
        return divergence(some, wanted[part], forward=forward)

    total = 3 * summed(logits, found, terms)
    (gradient,) = torch.autograd.grad(total, logits)
    expected = 3 * by_torch(logits[found], wanted, forward=forward)
    (by_autograd,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(gradient, by_autograd)
    assert not gradient[~found].any()


def test_where_no_position_counts_there_is_no_gradient_to_hold() -> None:
    logits = torch.randn(1, 2, 5).requires_grad_()

    def terms(some: torch.Tensor, part: slice) -> tuple[torch.Tensor, torch.Tensor]:
        raise AssertionError

    total = summed(logits, torch.zeros(1, 2, dtype=torch.bool), terms)
    assert total.item() == 0
    assert not total.requires_grad


def test_sum_keeps_the_dtype_of_the_gradient() -> None:
    logits = torch.randn(1, 2, 5, dtype=torch.bfloat16).requires_grad_()
    teacher = torch.randn(2, 5)
    total = summed(
        logits,
        torch.ones(1, 2, dtype=torch.bool),
        lambda some, part: divergence(some, teacher[part], forward=True),
    )
    assert total.dtype == torch.float32
    assert torch.autograd.grad(total, logits)[0].dtype == torch.bfloat16


def test_what_is_kept_of_a_prediction_is_its_likeliest_tokens_and_the_mass_of_the_rest() -> None:
    p = [0.1, 0.4, 0.2, 0.3]
    model = Bigram([[7 + math.log(x) for x in p]] * 4)
    found = SoftTargets.of(model, packed([answer(0, 3)]), [0], top_k=2)
    assert found.indices.tolist() == [[1, 3]]
    assert found.indices.dtype == torch.int32
    assert found.values.exp().tolist() == [pytest.approx([0.4, 0.3, 0.3])]


def test_tail_is_as_exact_as_the_rest_where_it_is_tiny() -> None:
    model = Bigram([[0.0, -30.0, -31.0]] * 3)
    found = SoftTargets.of(model, packed([answer(0, 1)]), [0], top_k=1)
    assert found.values[0, 1].item() == pytest.approx(-30 + math.log1p(math.exp(-1)), rel=1e-6)


def test_divergence_over_bins_is_the_one_worked_out_by_hand() -> None:
    teacher = Bigram([[math.log(x) for x in (0.5, 0.25, 0.125, 0.125)]] * 4)
    student = Bigram([[math.log(x) for x in (0.2, 0.2, 0.4, 0.2)]] * 4)
    found = SoftTargets.of(teacher, packed([answer(0, 3)]), [0], top_k=2)
    made = batch(student, [answer(0, 3)])
    by_hand = 0.5 * math.log(0.5 / 0.2) + 0.25 * math.log(0.25 / 0.2) + 0.25 * math.log(0.25 / 0.6)
    assert found.divergence(made, all_rows(made)).item() == pytest.approx(by_hand, rel=1e-5)


@both_ways
@pytest.mark.parametrize("top_k", [1, 4, 11, 12, 99])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_gradient_over_bins_is_that_of_autograd(
    forward: bool, top_k: int, temperature: float
) -> None:
    """From k = vocabulary - 1 on, the bins are the whole vocabulary."""
    teacher, student = random_bigram(seed=1), random_bigram(seed=2)
    found = kept(teacher, top_k, temperature)
    made = batch(student, ROWS)
    total = found.divergence(made, all_rows(made), temperature, forward=forward)
    (gradient,) = torch.autograd.grad(total, student.table)

    learned = made.targets != IGNORED
    p = (batch(teacher, ROWS).logits[learned] / temperature).softmax(-1)
    q = (batch(student, ROWS).logits[learned] / temperature).softmax(-1)
    if top_k < 11:
        top = p.topk(top_k).indices
        p, q = (
            torch.cat([x.gather(-1, top), 1 - x.gather(-1, top).sum(-1, keepdim=True)], -1)
            for x in (p, q)
        )
    expected = by_torch(q.log(), p.log(), forward=forward)
    (by_autograd,) = torch.autograd.grad(expected, student.table)
    torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradient, by_autograd, rtol=1e-3, atol=1e-5)


def test_predictions_are_found_by_example_in_whatever_order_and_padding_it_comes() -> None:
    """Rows of one batch in any order add up to what each adds by itself."""
    teacher, student = random_bigram(seed=1), random_bigram(seed=2)
    found = kept(teacher, top_k=3)
    alone = []
    for row in ROWS:
        made = batch(student, [row])
        alone.append(found.divergence(made, all_rows(made)).item())
    assert len({round(value, 3) for value in alone}) == len(alone)
    for seed in range(5):
        order = random.Random(seed).sample(EVERY_ROW, 3)
        made = batch(student, [ROWS[index] for index in order])
        expected = sum(alone[index] for index in order)
        assert found.divergence(made, all_rows(made)).item() == pytest.approx(expected, rel=1e-5)


def test_rows_that_are_not_known_or_not_asked_for_add_nothing() -> None:
    teacher, student = random_bigram(seed=1), random_bigram(seed=2)
    found = SoftTargets.of(teacher, packed(ROWS), [0, 3], top_k=3)
    made = batch(student, ROWS)
    only = batch(student, [ROWS[0], ROWS[3]])
    expected = found.divergence(only, all_rows(only)).item()
    assert found.divergence(made, all_rows(made)).item() == pytest.approx(expected)
    first = torch.tensor([True, False, False, False])
    alone = batch(student, ROWS[:1])
    assert found.divergence(made, first).item() == pytest.approx(
        found.divergence(alone, all_rows(alone)).item()
    )
    unknown = batch(student, ROWS[1:3])
    total = found.divergence(unknown, all_rows(unknown))
    assert total.item() == 0
    assert not total.requires_grad


def test_example_that_comes_twice_is_predicted_once() -> None:
    found = SoftTargets.of(random_bigram(), packed([ROWS[0], ROWS[1], ROWS[0]]), range(3), 0, 3)
    assert len(found.positions.keys) == 2
    assert len(found.values) == 3 + 1


def test_later_predictions_take_the_place_of_earlier_ones_of_the_same_example() -> None:
    old, new, student = (random_bigram(seed=seed) for seed in (1, 2, 3))
    first = SoftTargets.of(old, packed(ROWS), [0, 1, 2], top_k=3)
    second = SoftTargets.of(new, packed(ROWS), [1, 3], top_k=3)
    joined = first.followed_by(second)
    for row, source in zip(ROWS, (first, second, first, second), strict=True):
        made = batch(student, [row])
        expected = source.divergence(made, all_rows(made)).item()
        assert joined.divergence(made, all_rows(made)).item() == expected


def test_predictions_survive_as_tensors() -> None:
    found = kept(random_bigram(seed=1), top_k=3)
    again = SoftTargets.from_tensors(found.tensors())
    made = batch(random_bigram(seed=2), ROWS)
    assert again.divergence(made, all_rows(made)).equal(found.divergence(made, all_rows(made)))


def test_sum_carried_backwards_twice_is_an_error_and_not_a_wrong_gradient() -> None:
    logits = torch.randn(1, 2, 5).requires_grad_()
    teacher = torch.randn(2, 5)
    total = summed(
        logits,
        torch.ones(1, 2, dtype=torch.bool),
        lambda some, part: divergence(some, teacher[part], forward=True),
    )
    torch.autograd.grad(total, logits, retain_graph=True)
    with pytest.raises(RuntimeError, match="before"):
        torch.autograd.grad(total, logits)
