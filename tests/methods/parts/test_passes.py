"""Passes over examples agree with the library's own loss, row by row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from forgetless.methods.parts.passes import batch_of, embeddings, in_batches, mean_losses
from forgetless.tasks.examples import Examples, Origin
from forgetless.tasks.render import Encoded
from tests.methods.bigram import random_bigram
from tests.models.test_padding import bart
from tests.training.build import fresh


def examples() -> Examples:
    rng = np.random.default_rng(0)
    encoded = []
    for length in (9, 4, 12, 4, 7):
        learned = [False] * (length // 2) + [True] * (length - length // 2)
        encoded.append(Encoded(rng.integers(250, size=length).tolist(), learned))
    return Examples.of(encoded, [Origin("t", str(n)) for n in range(len(encoded))])


def library_loss(model: torch.nn.Module, example: Encoded) -> float:
    ids = torch.tensor([example.ids])
    labels = ids.masked_fill(~torch.tensor([example.learned]), -100)
    with torch.no_grad():
        return float(model(input_ids=ids, labels=labels).loss)


def test_mean_loss_of_each_example_is_the_librarys(tiny_model: Path) -> None:
    model = fresh(tiny_model).model
    found = mean_losses(model, examples())
    expected = [library_loss(model, examples()[index]) for index in range(5)]
    assert found == pytest.approx(expected, rel=1e-4)


def test_losses_are_zero_where_nothing_is_learned(tiny_model: Path) -> None:
    model = fresh(tiny_model).model
    batch = batch_of(model, [examples()[0], examples()[1]])
    losses = batch.losses
    assert losses.shape == batch.targets.shape
    assert (losses[batch.targets == -100] == 0).all()
    assert batch.learned_tokens == 5 + 2
    assert batch.keys.tolist() == [examples()[0].key, examples()[1].key]


def batched(tokens: int) -> list[list[int]]:
    return [chosen.tolist() for chosen in in_batches(random_bigram(), examples(), tokens)]


def test_every_example_is_in_one_batch_that_fits() -> None:
    lengths = examples().lengths
    batches = batched(tokens=16)
    assert sorted(index for chosen in batches for index in chosen) == [0, 1, 2, 3, 4]
    for chosen in batches:
        assert len(chosen) == 1 or max(lengths[chosen]) * len(chosen) <= 16


def test_examples_that_fill_their_last_batch_leave_none_behind_it() -> None:
    """Lengths 9, 4, 12, 4, 7: the longest sets what fits beside it."""
    batches = batched(tokens=14)
    assert batches == [[2], [0], [4, 1], [3]]
    batches = batched(tokens=24)
    assert batches == [[2, 0], [4, 1, 3]]
    assert [*in_batches(random_bigram(), Examples.of([], []))] == []


def test_mode_of_the_model_is_put_back(tiny_model: Path) -> None:
    model = fresh(tiny_model).model.train()
    mean_losses(model, examples())
    assert model.training


def test_embedding_is_the_mean_of_the_last_hidden_states_over_all_tokens(tiny_model: Path) -> None:
    model = fresh(tiny_model).model
    found = embeddings(model, examples())
    assert found.shape == (5, 64)
    for index, embedding in enumerate(found):
        with torch.no_grad():
            alone = model.model(torch.tensor([examples()[index].ids])).last_hidden_state[0]
        assert embedding == pytest.approx(alone.mean(0).numpy(), abs=1e-4)


def test_the_first_token_of_a_text_is_no_target_however_it_is_padded(tiny_model: Path) -> None:
    model = fresh(tiny_model).model
    texts = [Encoded([70 + n, 80, 90, 100][: 2 + n % 3], [True] * (2 + n % 3)) for n in range(3)]
    together = batch_of(model, texts)
    assert together.learned_tokens == sum(len(text) - 1 for text in texts)
    for text, losses in zip(texts, together.losses, strict=True):
        assert losses.sum().item() == pytest.approx(batch_of(model, [text]).losses.sum().item())


def test_examples_of_a_model_that_reads_padding_are_read_as_each_alone() -> None:
    model = bart()
    assert sorted(map(len, in_batches(model, examples()))) == [1, 1, 1, 2]
    losses, states = mean_losses(model, examples()), embeddings(model, examples())
    for index in range(5):
        alone = Examples.of([examples()[index]], [Origin("t", "0")])
        assert losses[index] == pytest.approx(mean_losses(model, alone)[0], rel=1e-4)
        assert states[index] == pytest.approx(embeddings(model, alone)[0], abs=1e-4)
