"""How far predictions moved."""

from __future__ import annotations

import math

import pytest
import torch

from forgetless.evaluation.drift import POSITIONS, mean_kl, prompt_log_probabilities
from forgetless.models.load import LoadedModel
from tests.evaluation.build import COLOURS, texts
from tests.training.build import make_task


def test_the_divergence_of_two_coins_by_hand() -> None:
    fair = torch.tensor([[0.5, 0.5]]).log()
    biased = torch.tensor([[0.75, 0.25]]).log()
    by_hand = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert mean_kl(fair, biased) == pytest.approx(by_hand, abs=1e-6)
    assert mean_kl(fair, fair) == 0


def test_a_model_has_not_moved_from_itself(taught: LoadedModel) -> None:
    task = make_task("colours", (), COLOURS.test)
    first, second = (prompt_log_probabilities(taught, task) for _ in range(2))
    assert first is not None
    assert second is not None
    assert mean_kl(first, second) == 0
    assert first.exp().sum(-1) == pytest.approx(1, abs=1e-5)


def test_training_moves_a_model(tiny: LoadedModel, taught: LoadedModel) -> None:
    task = make_task("colours", (), COLOURS.test)
    before, after = prompt_log_probabilities(tiny, task), prompt_log_probabilities(taught, task)
    assert before is not None
    assert after is not None
    assert mean_kl(before, after) > 0.5


def test_positions_are_those_that_follow_a_token_and_bounded(tiny: LoadedModel) -> None:
    task = texts()
    found = prompt_log_probabilities(tiny, task)
    assert found is not None
    lengths = [len(tiny.tokenizer(row.answer)["input_ids"]) for row in task.test]
    assert len(found) == min(POSITIONS, sum(length - 1 for length in lengths))
