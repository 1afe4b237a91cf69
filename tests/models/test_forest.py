"""Forests of sequences, and how they are divided so that they cost least."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgetless.models.forest import Cost, beginning, forest, groves

SEQUENCES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=6)


@settings(derandomize=True, deadline=None)
@given(SEQUENCES)
def test_a_path_reads_its_sequence_and_each_node_sees_its_own_beginning_alone(
    sequences: list[list[int]],
) -> None:
    made = forest(sequences)
    for sequence, path in zip(sequences, made.paths, strict=True):
        assert [made.ids[node] for node in path] == sequence
        assert [made.depths[node] for node in path] == list(range(len(path)))
        for place, node in enumerate(path):
            seen = [i for i in range(len(made.ids)) if i <= node < made.ends[i]]
            assert seen == path[: place + 1]
    beginnings = {tuple(s[:n]) for s in sequences for n in range(1, len(s) + 1)}
    assert len(made.ids) == len(beginnings)


@settings(derandomize=True, deadline=None)
@given(SEQUENCES, st.floats(0, 10), st.floats(1, 100))
def test_no_other_cut_of_the_ordered_sequences_is_cheaper(
    sequences: list[list[int]], again: float, pairs: float
) -> None:
    cost = Cost(again, pairs)
    price, groups = groves(sequences, cost)
    assert sorted(index for group in groups for index in group) == list(range(len(sequences)))
    paid = sum(cost.of(len(forest([sequences[i] for i in group]).ids)) for group in groups)
    assert abs(paid - price) < 1e-9 * max(1.0, price)
    ordered = sorted(sequences)
    for number in range(len(ordered)):
        for cuts in combinations(range(1, len(ordered)), number):
            parts = zip((0, *cuts), (*cuts, len(ordered)), strict=True)
            other = sum(cost.of(len(forest(ordered[a:b]).ids)) for a, b in parts)
            assert price <= other + 1e-9 * other


def test_cost_of_a_pass_by_hand() -> None:
    cost = Cost(again=10, pairs=100)
    assert cost.of(20) == 10 + 20 + 4
    assert cost.padded(3, 20) == 10 + 3 * 24
    assert groves([[1, 2, 3], [1, 2, 4], [5]], Cost(again=100, pairs=1000))[1] == [[0, 1, 2]]
    # 4 + 4 tokens that share nothing: 8 * 8 pairs together, 2 * 4 * 4 apart.
    assert groves([[1] * 4, [2] * 4], Cost(again=1, pairs=1)) == (2 * (1 + 4 + 16), [[0], [1]])


LONG = [*range(100, 120)]


@pytest.mark.parametrize(
    ("sequences", "shared"),
    [
        ([[*LONG, 1], [*LONG, 2, 3], [*LONG, 1, 4]], 20),
        ([LONG, [*LONG, 1]], 19),  # each has one more behind
        ([LONG, LONG], 19),
        ([LONG[:17], LONG], 16),
        ([LONG[:16], LONG], 0),  # fifteen are read again
        ([[*LONG, 1], [1, *LONG]], 0),
        ([LONG, []], 0),
        ([LONG], 0),
        ([], 0),
    ],
)
def test_what_all_begin_with_is_told_where_it_is_worth_a_reading_of_its_own(
    sequences: list[list[int]], shared: int
) -> None:
    assert [*beginning(sequences)] == LONG[:shared]
