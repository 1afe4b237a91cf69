"""Trees against what can be counted by hand, and packs against their limits."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from forgetless.evaluation.packing import Limits, Request, grow, packs

ROOMY = Limits(tokens=1000, rows=1000, span=1000)


def choices(context: list[int], *continuations: list[int]) -> list[Request]:
    return [Request(context, continuation) for continuation in continuations]


def test_choices_of_an_item_share_its_prompt_and_what_they_begin_with() -> None:
    """1 2 3, then 4 5 or 4 6 or 7: the nodes 1 2 3 4, since last tokens are none."""
    tree = grow(choices([1, 2, 3], [4, 5], [4, 6], [7]))
    assert tree.ids == [1, 2, 3, 4]
    assert tree.depths == [0, 1, 2, 3]
    assert tree.ends == [4, 4, 4, 4]
    assert tree.reads == [2, 3]
    assert tree.rows == [0, 1, 0, 1, 0]  # 4 5, 4 6, 7
    assert tree.targets == [4, 5, 4, 6, 7]
    assert tree.scored == [2, 2, 1]


def test_answers_of_one_letter_are_no_nodes() -> None:
    """The last token of a sequence, a leaf, does not go through the model."""
    tree = grow(choices([1, 2, 3], [65], [66], [67], [68]))
    assert tree.ids == [1, 2, 3]
    assert tree.reads == [2]
    assert tree.rows == [0, 0, 0, 0]
    assert tree.targets == [65, 66, 67, 68]


def test_branches_see_their_ancestors_and_nobody_else() -> None:
    """Two items behind the prefix 9: 9 1 (2 3 | 4 5) and 9 6 7."""
    tree = grow([*choices([9, 1], [2, 3, 0], [4, 5, 0]), Request([9, 6, 7], [0])])
    assert tree.ids == [9, 1, 2, 3, 4, 5, 6, 7]
    assert tree.depths == [0, 1, 2, 3, 2, 3, 1, 2]
    assert tree.ends == [8, 6, 4, 4, 6, 6, 8, 8]
    seen = [[tree.ids[i] for i in range(8) if i <= j < tree.ends[i]] for j in range(len(tree.ids))]
    assert seen[3] == [9, 1, 2, 3]
    assert seen[5] == [9, 1, 4, 5]
    assert seen[7] == [9, 6, 7]


def test_first_token_without_context_is_given_and_not_scored() -> None:
    tree = grow([Request([], [1, 2, 3]), Request([], [1])])
    assert (tree.ids, tree.reads) == ([1, 2], [0, 1])
    assert (tree.rows, tree.targets, tree.scored) == ([0, 1], [2, 3], [2, 0])


def test_what_was_read_before_is_no_node_but_counts_for_the_depth() -> None:
    tree = grow(choices([1, 2, 3], [4, 5], [7]), skip=2)
    assert (tree.ids, tree.depths, tree.ends) == ([3, 4], [2, 3], [2, 2])
    assert tree.reads == [0, 1]


def drawn(seed: int, count: int, alphabet: int = 3) -> list[Request]:
    draw = random.Random(seed)
    return [
        Request(
            [draw.randrange(alphabet) for _ in range(draw.randrange(5))],
            [draw.randrange(alphabet) for _ in range(1 + draw.randrange(5))],
        )
        for _ in range(count)
    ]


@given(seed=st.integers(0, 10**6), count=st.integers(1, 12))
@hypothesis_settings(max_examples=80)
def test_each_request_finds_its_own_tokens_on_the_way_to_where_it_is_read(
    seed: int, count: int
) -> None:
    asked = drawn(seed, count)
    tree = grow(asked)
    prefixes = {tuple(r.path[:n]) for r in asked for n in range(1, len(r.path) + 1)}
    assert len(tree.ids) == len(prefixes)  # every distinct beginning once
    at = 0
    for request in asked:
        whole = [*request.context, *request.continuation]
        for place in range(len(whole) - request.scored, len(whole)):
            node = tree.reads[tree.rows[at]]
            way = [i for i in range(node + 1) if i <= node < tree.ends[i]]
            assert [tree.ids[i] for i in way] == whole[:place]
            assert tree.depths[node] == place - 1
            assert tree.targets[at] == whole[place]
            at += 1
    assert at == len(tree.targets)


@given(seed=st.integers(0, 10**6), tokens=st.integers(1, 30), rows=st.integers(1, 30))
@hypothesis_settings(max_examples=80)
def test_packs_hold_every_group_once_and_keep_to_their_limits(
    seed: int, tokens: int, rows: int
) -> None:
    groups = [drawn(seed + n, 1 + (seed + n) % 4) for n in range(9)]
    found = list(packs(groups, Limits(tokens, rows, span=60)))
    assert sorted(index for pack in found for index in pack) == list(range(9))
    assert found == list(packs(groups, Limits(tokens, rows, span=60)))
    for pack in found:
        together = [request for index in pack for request in groups[index]]
        tree = grow(together)
        paths = [request.path for request in together]
        trunk = sum(len(set(at)) == 1 for at in zip(*paths, strict=False))
        if len(pack) > 1:
            assert len(tree.reads) <= rows
            assert len(tree.ids) - trunk <= tokens
            assert len(tree.ids) <= 60


def test_questions_on_one_passage_stand_together_whatever_their_order() -> None:
    """A passage of 50 tokens is not counted: it is the trunk of its pack."""
    one, other = list(range(50)), list(range(100, 150))
    groups = [choices([*(one, other)[n % 2], 200 + n], [1], [2]) for n in range(8)]
    found = list(packs(groups, Limits(tokens=10, rows=100, span=1000)))
    assert found == [[0, 2, 4, 6], [1, 3, 5, 7]]
    assert [len(grow([r for n in pack for r in groups[n]]).ids) for pack in found] == [54, 54]


def test_pack_ends_where_the_span_does() -> None:
    groups = [choices([n] * 10, [1]) for n in range(4)]
    assert list(packs(groups, Limits(1000, 1000, span=20))) == [[0, 1], [2, 3]]
    shared = [choices([7] * 5 + [n] * 10, [1]) for n in range(4)]
    assert list(packs(shared, Limits(1000, 1000, span=25), skip=5)) == [[0, 1], [2, 3]]
    assert list(packs(shared, Limits(1000, 1000, span=24), skip=5)) == [[0], [1], [2], [3]]


def test_packs_are_in_the_order_of_their_tokens() -> None:
    groups = [choices([n], [1, 2]) for n in (5, 3, 9, 1)]
    (order,) = packs(groups, ROOMY)
    assert all(groups[a][0].context < groups[b][0].context for a, b in pairwise(order))
