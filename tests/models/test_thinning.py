from __future__ import annotations

import torch

from forgetless.models.thinning import thinned

CHANGE = torch.tensor([[1.0, -4.0], [2.0, -3.0]])


def test_the_largest_entries_stay_as_they_are() -> None:
    assert thinned(CHANGE, 0.5, largest=True).tolist() == [[0.0, -4.0], [0.0, -3.0]]


def test_entries_drawn_at_random_are_enlarged_by_what_is_dropped() -> None:
    torch.manual_seed(0)
    found = thinned(torch.ones(1000), 0.25, largest=False)
    assert set(found.tolist()) == {0.0, 4.0}
    assert 200 < int((found != 0).sum()) < 300


def test_all_entries_are_the_change_itself() -> None:
    assert thinned(CHANGE, 1.0, largest=False) is CHANGE
