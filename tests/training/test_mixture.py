from __future__ import annotations

import numpy as np

from forgetless.methods.stage import Stage
from forgetless.training.mixture import Draws, Epochs, mix


def test_draw_stops_where_one_more_row_would_miss_by_more() -> None:
    """17 tokens in rows of 5: 15 miss by 2, 20 by 3; the 2 are owed to the next epoch."""
    draws = Draws(np.full(9, 5), 100, 0.5, np.random.default_rng(0))
    first, second = draws.epoch(34), draws.epoch(34)
    assert (len(first), len(second)) == (3, 4)  # 15 of 17, then 20 of 19
    assert set(first) | set(second) <= set(range(100, 109))
    assert len(set(first) | set(second)) == 7


def test_mix_spreads_every_pool_by_tokens_and_keeps_its_order() -> None:
    lengths = np.array([4] * 8 + [8] * 4 + [2] * 4)
    new, long, short = np.arange(8), np.array([9, 8, 11, 10]), np.array([12, 15, 13, 14])
    mixed = mix(new, [long, short], lengths, np.random.default_rng(0))
    for pool in (new, long, short):
        assert [i for i in mixed if i in pool] == pool.tolist()
        done = np.cumsum(np.where(np.isin(mixed, pool), lengths[mixed], 0)) / lengths[pool].sum()
        done_new = np.cumsum(np.where(mixed < 8, lengths[mixed], 0)) / lengths[new].sum()
        assert np.abs(done - done_new).max() <= 1 / 4 + 1 / 8


def test_mix_draws_the_places_anew() -> None:
    lengths, rng = np.full(40, 3), np.random.default_rng(0)
    mixes = [tuple(mix(np.arange(30), [np.arange(30, 40)], lengths, rng)) for _ in range(3)]
    assert len(set(mixes)) == 3


def test_nothing_to_mix_in_leaves_the_new_rows() -> None:
    empty = np.array([], dtype=np.int64)
    mixed = mix(np.array([2, 0, 1]), [empty], np.full(3, 5), np.random.default_rng(0))
    assert mixed.tolist() == [2, 0, 1]


def test_epochs_are_drawn_from_streams_whose_names_stay_so_that_a_run_goes_on() -> None:
    """Shares of .2 and .3 beside .5 of new rows: .4 and .6 tokens to each new one."""
    stage = Stage(2, "2-b", (), seed=7)
    lengths = np.array([3, 5, 4, 6, 2, 7, 3, 4, 5, 6, 2, 3])
    drawn = Epochs(stage, lengths, 5, [(0.2, 3), (0.3, 4)])
    first = Draws(lengths[5:8], 5, 0.2 / 0.5, stage.rng("rehearsal", 0))
    second = Draws(lengths[8:], 8, 0.3 / 0.5, stage.rng("rehearsal", 1))
    for epoch, new_rows in ((1, 5), (2, 3)):
        new = stage.rng("order", epoch).permutation(5)[:new_rows]
        old = [pool.epoch(int(lengths[new].sum())) for pool in (first, second)]
        expected = mix(new, old, lengths, stage.rng("places", epoch))
        assert drawn.epoch(epoch, new_rows).tolist() == expected.tolist()
        assert len(expected) > new_rows
