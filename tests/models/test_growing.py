"""The cache with room behind it holds what transformers' own holds, and copies less."""

from __future__ import annotations

import torch
from transformers.cache_utils import DynamicLayer

from forgetless.models.growing import SPARE, GrowingLayer


def columns(count: int, rows: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    keys, values = torch.randn(2, rows, 3, count, 4).unbind()
    return keys, values


def test_it_holds_what_the_cache_of_transformers_holds() -> None:
    ours, theirs = GrowingLayer(), DynamicLayer()
    for count in (5, 1, 1, SPARE - 2, 1, 1, 2 * SPARE, 1):
        new = columns(count)
        found, wanted = ours.update(*new), theirs.update(*new)
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
        assert ours.get_seq_length() == theirs.get_seq_length()


def test_a_new_column_is_written_where_there_is_room_and_moves_nothing() -> None:
    layer = GrowingLayer()
    layer.update(*columns(5))
    places = {layer.update(*columns(1))[0].data_ptr() for _ in range(SPARE)}
    assert len(places) == 1
    assert layer.update(*columns(1))[0].data_ptr() not in places  # there was none left


def test_rows_that_were_put_there_stay_as_they_are() -> None:
    layer = GrowingLayer()
    layer.update(*columns(5, rows=3))
    layer.keys, layer.values = columns(4)
    kept, new = layer.keys, columns(1)
    keys, values = layer.update(*new)
    assert torch.equal(keys, torch.cat([kept, new[0]], 2))
    assert torch.equal(values[:, :, -1:], new[1])


def test_columns_that_were_cropped_are_written_over() -> None:
    layer = GrowingLayer()
    first, new = columns(2), columns(5)
    layer.update(*first)
    layer.crop(-1)
    keys, _ = layer.update(*new)
    assert torch.equal(keys, torch.cat([first[0][:, :, :1], new[0]], 2))
