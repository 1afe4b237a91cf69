from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from forgetless.methods.parts.screening import Screen, distinct_share

LIKE = "like an earlier one"


def fault(screen: Screen, *turns: Sequence[int], text: str | None = None) -> str | None:
    return screen.fault(turns, repr(turns) if text is None else text)


@pytest.mark.parametrize(
    ("ids", "share"),
    [
        ([1, 2, 3, 4, 5], 1.0),
        ([7, 7, 7, 7, 7], 1 / 3),
        ([1, 2, 1, 2, 1, 2], 0.5),  # 121 212 121 212
        ([1, 2, 3, 1, 2, 3, 9], 4 / 5),
        ([4, 4], 1.0),  # too short to repeat itself
        ([4], 1.0),
    ],
)
def test_distinct_share_is_different_runs_of_three_over_all(ids: list[int], share: float) -> None:
    assert distinct_share(ids) == pytest.approx(share)


def test_texts_of_fewer_tokens_than_asked_are_too_short_over_all_turns() -> None:
    screen = Screen(4, 0, 1)
    assert fault(screen, [1, 2, 3]) == "too short"
    assert fault(screen, [1, 2], [3]) == "too short"
    assert fault(screen, [1, 2], [3, 4]) is None
    assert fault(screen, [1, 2, 3, 4, 5], []) == "too short"  # a turn that says nothing
    assert fault(screen, [1, 2, 3, 4, 5], text=" \n") == "too short"


def test_one_repetitive_turn_is_enough() -> None:
    screen = Screen(1, 0.5, 1)
    stuck = [5] * 9
    assert fault(screen, stuck) == "repetitive"
    assert fault(screen, [*range(50)], stuck) == "repetitive"
    assert fault(screen, stuck, [*range(50)]) == "repetitive"
    assert fault(screen, [1, 2, 1, 2, 1, 2]) is None  # exactly the bound
    assert fault(Screen(1, 0.51, 1), [1, 2, 1, 2, 1, 2]) == "repetitive"


def test_same_text_in_other_case_and_spacing_is_a_duplicate() -> None:
    screen = Screen(1, 0, 1)
    assert fault(screen, [1, 2, 3], text="Where is  Paris?") is None
    assert fault(screen, [7, 8, 9], text=" where is\nparis? ") == LIKE
    assert fault(screen, [7, 8, 9], text="where is rome?") is None


def test_likeness_is_shared_runs_of_three_over_those_of_either() -> None:
    """[1 2 3 4 5 6] and [1 2 3 4 5 9] share 3 of 5 runs."""
    for bound, expected in ((0.6, None), (0.59, LIKE)):
        screen = Screen(1, 0, bound, long=1)
        assert fault(screen, [1, 2, 3, 4, 5, 6]) is None
        assert fault(screen, [1, 2, 3, 4, 5, 9]) == expected


def test_likeness_is_to_every_earlier_text_and_not_to_all_together() -> None:
    screen = Screen(1, 0, 0.5, long=1)
    assert fault(screen, [1, 2, 3, 4]) is None
    assert fault(screen, [5, 6, 7, 8]) is None
    assert fault(screen, [1, 2, 3, 4, 5, 6, 7, 8]) is None  # 2 of 6 shared with each
    assert fault(screen, [0, 5, 6, 7, 8]) == LIKE  # 2 of 3 with the second


def test_text_that_was_left_out_is_not_an_earlier_one() -> None:
    screen = Screen(1, 0, 0.5, long=1)
    assert fault(screen, [1, 2, 3, 4, 5]) is None
    assert fault(screen, [2, 3, 4, 5, 6]) is None  # 2 of 4, the bound
    assert fault(screen, [1, 2, 3, 4, 5, 6]) == LIKE
    assert fault(screen, [1, 2, 3, 4, 9], text="new") is None  # 2 of 4 of the first only


def test_short_texts_may_differ_in_one_token_and_long_ones_may_not() -> None:
    for tokens, expected in ((17, None), (18, LIKE)):  # 15 and 16 runs of three
        screen = Screen(1, 0, 0.7)
        assert fault(screen, [*range(tokens)]) is None
        assert fault(screen, [*range(tokens - 1), 99]) == expected
        assert fault(screen, [*range(tokens)]) == LIKE  # the same one


def test_likeness_agrees_with_sets_on_random_texts() -> None:
    rng = np.random.default_rng(0)
    screen = Screen(1, 0, 0.3, long=1)
    kept: list[set[tuple[int, ...]]] = []
    refused = 0
    for number in range(300):
        ids = rng.integers(3, size=rng.integers(3, 9)).tolist()
        grams = {tuple(ids[k : k + 3]) for k in range(len(ids) - 2)}
        near = any(len(grams & other) / len(grams | other) > 0.3 for other in kept)
        assert (fault(screen, ids, text=str(number)) is not None) == near
        refused += near
        if not near:
            kept.append(grams)
    assert 20 < refused < 295
