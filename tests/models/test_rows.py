"""Rows read as a forest: what padded rows give, for less."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from forgetless.models import rows as module
from forgetless.models.forest import Cost
from forgetless.models.forward import logits_at, pad_left
from forgetless.models.rows import logits_of_rows
from forgetless.models.tree import obstacle, tree_logits
from tests.models.test_padding import bart
from tests.training.build import forward_passes, fresh, with_learned_positions

SHARED = [5, 6, 7, 8, 9, 10, 11, 12]
ROWS = [[*SHARED, 20, 21, 22], [*SHARED, 20, 23], [*SHARED, 30, 31, 32, 33, 34], [40, 41]]


@pytest.fixture(autouse=True)
def _passes_cost_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COST", {"cpu": Cost(again=1, pairs=1000)})


Place = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def padded_on(side: str) -> Place:
    """ids, mask, positions, columns, and where logits are wanted: behind the first token on."""
    padded = pad_left(ROWS)
    ids, mask, positions = padded.ids, padded.mask, padded.positions
    if side == "right":
        ids, mask = torch.zeros_like(ids), torch.zeros_like(mask)
        for place, row in enumerate(ROWS):
            ids[place, : len(row)] = torch.tensor(row)
            mask[place, : len(row)] = 1
        positions = torch.arange(ids.shape[1]).expand_as(ids)
    predicts = mask[:, :-1].bool() & mask[:, 1:].bool()
    predicts[1] = False  # nothing is wanted of the second row
    columns = predicts.any(0).nonzero().squeeze(-1)
    return ids, mask, positions, columns, predicts[:, columns]


def gradients(model: Any, logits: torch.Tensor, wanted: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    logits[wanted].log_softmax(-1).square().sum().backward()  # type: ignore[no-untyped-call]
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("side", ["left", "right"])
def test_logits_and_gradients_are_those_of_padded_rows(tiny_model: Path, side: str) -> None:
    model = fresh(tiny_model).model.train()
    place = padded_on(side)
    wanted = place[-1]
    obstacle(model)  # its trial passes are not counted
    with forward_passes(model) as passes:
        found = logits_of_rows(model, *place)
    assert passes == [1] * len(passes)  # forests, not four rows
    expected = logits_at(model, *place[:-1])
    assert found.shape == expected.shape
    assert torch.allclose(found[wanted], expected[wanted], atol=1e-5)
    theirs = gradients(model, expected, wanted)
    for name, ours in gradients(model, found, wanted).items():
        assert torch.allclose(ours, theirs[name], rtol=1e-3, atol=1e-3), name


class Wrapped(torch.nn.Module):
    """As what lets several processes train one model: a pass in one waits for one in all."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)


def test_processes_that_train_together_make_one_pass_each_whatever_their_rows(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fresh(tiny_model).model.train()
    obstacle(model)
    monkeypatch.setattr(module, "COST", {"cpu": Cost(again=0, pairs=1)})  # several are cheapest
    with forward_passes(model) as passes:
        logits_of_rows(model, *padded_on("left"))
    assert len(passes) > 1
    with forward_passes(model) as passes:
        logits_of_rows(Wrapped(model), *padded_on("left"))
    assert len(passes) == 1


def test_what_rows_begin_with_is_read_once_and_their_last_tokens_not_at_all(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, read = fresh(tiny_model).model, []

    def counted(model: Any, ids: Any, *rest: Any) -> Any:
        read.append(list(ids))
        return tree_logits(model, ids, *rest)

    obstacle(model)  # its trial reads trees as well
    monkeypatch.setattr(module, "tree_logits", counted)
    logits_of_rows(model, *padded_on("left"))
    assert sorted(token for ids in read for token in ids) == sorted(
        [*SHARED, 20, 21, 30, 31, 32, 33, 40]
    )


def test_dropout_several_sequences_in_a_row_and_models_without_masks_are_padded(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, mask, positions, columns, wanted = padded_on("left")

    def rows_of_passes(model: Any, positions: torch.Tensor = positions) -> list[int]:
        with forward_passes(model) as passes:
            logits_of_rows(model, ids, mask, positions, columns, wanted)
        return passes

    loaded = fresh(tiny_model)
    obstacle(loaded.model)
    assert rows_of_passes(loaded.model)[0] == 1
    assert rows_of_passes(loaded.model, positions.roll(1, 1)) == [4]
    assert rows_of_passes(with_learned_positions(loaded.tokenizer).model.train()) == [4]  # dropout
    dropping = copy.deepcopy(loaded.model).train()
    dropping.config.attention_dropout = 0.1
    assert rows_of_passes(dropping) == [4]
    assert rows_of_passes(dropping.eval())[-1] == 1
    monkeypatch.setattr(module, "obstacle", lambda _: "it cannot")
    assert rows_of_passes(loaded.model) == [4]


def test_rows_with_nothing_in_common_are_padded(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fresh(tiny_model).model
    obstacle(model)
    # One forest of 16 tokens looks at 256 pairs, four rows of 5 at 100; two passes cost more still.
    monkeypatch.setattr(module, "COST", {"cpu": Cost(again=1000, pairs=1)})
    padded = pad_left([[first] * 5 for first in (5, 6, 7, 8)])
    wanted = torch.ones((4, 4), dtype=torch.bool)
    with forward_passes(model) as passes:
        logits_of_rows(model, padded.ids, padded.mask, padded.positions, torch.arange(4), wanted)
    assert passes == [4]


@pytest.mark.parametrize("side", ["left", "right"])
def test_rows_of_each_length_have_a_pass_of_their_own_where_padding_is_read(side: str) -> None:
    model = bart()
    ids, mask, positions, columns, wanted = padded_on(side)
    with forward_passes(model) as passes:
        found = logits_of_rows(model, ids, mask, positions, columns, wanted)
    assert passes == [1, 1, 1, 1]
    assert found.shape == (*wanted.shape, 261)
    for row, logits in enumerate(found):
        alone = model(ids[row, mask[row].bool()][None]).logits[0]
        starts = int(mask[row].argmax())
        places = columns[wanted[row]] - starts
        assert torch.allclose(logits[wanted[row]], alone[places], atol=1e-5)


def test_padding_that_longer_rows_left_is_not_read_either() -> None:
    """A teacher sees some rows of a batch only."""
    model = bart()
    *place, columns, wanted = padded_on("left")
    short = (*(each[-1:] for each in place), columns, wanted[-1:])
    alone = model(torch.tensor([ROWS[-1]])).logits[0, 0]
    assert torch.allclose(logits_of_rows(model, *short)[0, -1], alone, atol=1e-5)


def test_processes_that_train_together_pad_whatever_their_model_reads() -> None:
    model = bart()
    with forward_passes(model) as passes:
        logits_of_rows(Wrapped(model), *padded_on("left"))
    assert passes == [4]
