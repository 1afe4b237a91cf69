"""How far predictions moved."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from forgetless.evaluation.drift import POSITIONS, kl_per_position, prompt_log_probabilities
from forgetless.models.load import LoadedModel
from tests.evaluation.build import COLOURS, texts
from tests.training.build import exchange, fresh, make_task, with_added_token


def test_the_divergence_of_two_coins_by_hand() -> None:
    fair = torch.tensor([[0.5, 0.5]]).log()
    biased = torch.tensor([[0.75, 0.25]]).log()
    by_hand = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert kl_per_position(fair, biased).tolist() == [pytest.approx(by_hand, abs=1e-6)]
    assert kl_per_position(fair, fair).tolist() == [0]


@pytest.mark.parametrize("more_before", [False, True])
def test_a_model_that_knows_more_tokens_is_taken_by_what_it_says_of_the_others(
    more_before: bool,
) -> None:
    two = torch.tensor([[0.5, 0.5]]).log()
    three = torch.tensor([[0.2, 0.6, 0.2]]).log()  # 1 to 3, where both know the token
    moved = kl_per_position(three, two) if more_before else kl_per_position(two, three)
    before, after = ((0.25, 0.75), (0.5, 0.5)) if more_before else ((0.5, 0.5), (0.25, 0.75))
    by_hand = sum(p * math.log(p / q) for p, q in zip(before, after, strict=True))
    assert moved.tolist() == [pytest.approx(by_hand, abs=1e-6)]


def test_a_model_has_not_moved_from_itself(taught: LoadedModel) -> None:
    task = make_task("colours", (), COLOURS.test)
    first, second = (prompt_log_probabilities(taught, task) for _ in range(2))
    assert first.keys() == {row.id for row in COLOURS.test}
    assert drift(first, second) == 0
    for one in first.values():
        assert one.exp().sum(-1) == pytest.approx(1, abs=1e-5)


def test_training_moves_a_model(tiny: LoadedModel, taught: LoadedModel) -> None:
    task = make_task("colours", (), COLOURS.test)
    before, after = prompt_log_probabilities(tiny, task), prompt_log_probabilities(taught, task)
    assert drift(before, after) > 0.5


def test_positions_are_those_that_follow_a_token_and_bounded(tiny: LoadedModel) -> None:
    task = texts()
    found = prompt_log_probabilities(tiny, task)
    lengths = [len(tiny.tokenizer(row.answer)["input_ids"]) for row in task.test]
    read = sum(map(len, found.values()))
    assert read == min(POSITIONS, sum(length - 1 for length in lengths))


def test_what_a_model_cannot_read_is_left_out_and_the_others_are_read_as_before(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task("words", (), [exchange(n, f"{word}?", "no") for n, word in enumerate(WORDS)])
    whole = prompt_log_probabilities(fresh(tiny_model), task)
    monkeypatch.setattr("forgetless.evaluation.drift.POSITIONS", sum(map(len, whole.values())))
    left = prompt_log_probabilities(with_added_token(tiny_model, "zebra"), task)
    assert left.keys() == whole.keys() - {"1"}
    assert drift(whole, left) == 0


WORDS = ("cat", "zebra", "dog")


def drift(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> float:
    return max(float(kl_per_position(before[item], after[item]).max()) for item in after)
