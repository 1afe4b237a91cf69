from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.stats import binomtest

from forgetless.errors import NotMeasured
from forgetless.metrics import (
    Cell,
    ScoreMatrix,
    ScoreStack,
    average_accuracy,
    average_forgetting,
    cell_intervals,
    forgetting,
    gap_closed,
    interval,
    intransigence,
    retention_change,
)
from forgetless.metrics.resampling import resampled_means, weighted_means
from forgetless.metrics.scores import FloatArray

from .build import by_hand, itemised

law_forgetting = partial(forgetting, task="law")
law_change = partial(retention_change, task="law")


def law_score(scores: ScoreStack) -> FloatArray:
    return scores.score(0, "law")


def plain_bootstrap(matrix: ScoreMatrix, draws: int, rng: np.random.Generator) -> ScoreStack:
    """The one task of a matrix over items drawn anew: no unseen item, no correction."""
    scores = np.stack([*matrix.paired("law").rows.values()], axis=1)
    values = resampled_means(scores, draws, rng)[:, :, np.newaxis]
    return ScoreStack(matrix.stages, matrix.tasks, values)


def upper_limit_of_none(n: int, level: float = 0.95) -> float:
    """Clopper-Pearson: how often something may happen that did not happen in n items."""
    return float(binomtest(0, n).proportion_ci(level, method="exact").high)


@pytest.mark.parametrize("right", [0, 1, 41, 59, 60])
def test_single_binary_cell_has_the_exact_interval(right: int) -> None:
    found = interval(law_score, itemised({"law": ["1" * right + "0" * (60 - right)]}))
    exact = binomtest(right, 60).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
    assert found.method == "Clopper-Pearson"


def test_falling_figure_of_a_single_cell_has_its_limits_the_right_way_round() -> None:
    found = interval(lambda scores: 1 - law_score(scores), itemised({"law": ["110" * 20]}))
    wrong = binomtest(20, 60).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((wrong.low, wrong.high))


def test_no_flip_in_60_items_leaves_room_for_6_points_either_way() -> None:
    matrix = itemised({"law": ["10" * 30, "10" * 30]})
    assert interval(law_change, matrix).method == "bootstrap with an unseen item"
    found = interval(law_forgetting, itemised({"law": ["1" * 60, "1" * 60]}))
    assert (found.low, found.high) == pytest.approx(
        (-upper_limit_of_none(60), upper_limit_of_none(60))
    )
    assert found.high == pytest.approx(0.0596, abs=1e-4)
    assert found.method == "exact"


def test_every_item_lost_leaves_room_for_one_that_is_gained() -> None:
    found = interval(law_forgetting, itemised({"law": ["1" * 30, "0" * 30]}))
    assert (found.low, found.high) == pytest.approx((1 - 2 * upper_limit_of_none(30), 1.0))


def test_tie_of_perfect_rows_hides_none_of_them() -> None:
    matrix = itemised({"law": ["1" * 60] * 3}, trained_in={"law": 1})
    found = interval(law_forgetting, matrix)
    assert found.low == pytest.approx(-upper_limit_of_none(60))
    assert found.high == pytest.approx(upper_limit_of_none(60))


def test_one_lost_item_widens_the_interval_that_none_had() -> None:
    none = interval(law_forgetting, itemised({"law": ["1" * 60, "1" * 60]}))
    one = interval(law_forgetting, itemised({"law": ["1" * 60, "0" + "1" * 59]}), draws=20_000)
    exact = binomtest(1, 60).proportion_ci(0.95, method="exact")
    assert one.high > none.high
    assert one.high == pytest.approx(exact.high, abs=0.005)


def test_average_of_perfect_tasks_is_not_certain() -> None:
    matrix = itemised(
        {"law": ["0" * 40, "1" * 40], "tax": ["0" * 40, "1" * 40]},
        trained_in={"law": 1, "tax": 1},
    )
    found = interval(average_accuracy, matrix)
    assert found.high == 1.0
    assert 1 - upper_limit_of_none(40) < found.low < 0.97
    assert found.method == "bootstrap with an unseen item"


@pytest.mark.parametrize(("right", "n"), [(3, 10), (33, 40), (59, 60)])
def test_unseen_item_turns_the_bootstrap_into_clopper_and_pearson(right: int, n: int) -> None:
    scores = np.array([[1.0]] * right + [[0.0]] * (n - right))
    seen, unseen = weighted_means(scores, 100_000, np.random.default_rng(0))
    exact = binomtest(right, n).proportion_ci(0.95, method="exact")
    assert np.quantile(seen, 0.025) == pytest.approx(exact.low, abs=0.003)
    assert np.quantile(seen + unseen, 0.975) == pytest.approx(exact.high, abs=0.003)


def test_many_items_need_no_unseen_one() -> None:
    rng = np.random.default_rng(3)
    before, after = rng.random(4000) < 0.8, rng.random(4000) < 0.7
    found = interval(law_change, itemised({"law": [list(before), list(after)]}))
    spread = np.std(after.astype(float) - before) / np.sqrt(4000)
    centre = after.mean() - before.mean()
    assert found.low == pytest.approx(centre - 1.96 * spread, abs=0.002)
    assert found.high == pytest.approx(centre + 1.96 * spread, abs=0.002)


def test_interval_covers_rare_losses_where_the_plain_bootstrap_does_not() -> None:
    """200 samples of 60 items, of which the model truly loses 2%."""
    rng = np.random.default_rng(0)
    covered = plainly_covered = 0
    for _ in range(200):
        lost = rng.random(60) < 0.02
        matrix = itemised({"law": [[1.0] * 60, list(1.0 - lost)]})
        found = interval(law_forgetting, matrix, draws=200)
        covered += found.low <= 0.02 <= found.high
        plain = law_forgetting(plain_bootstrap(matrix, 200, rng))
        low, high = np.quantile(plain, [0.025, 0.975]).tolist()
        plainly_covered += low <= 0.02 <= high
    assert covered >= 190
    assert plainly_covered <= 160


def test_interval_of_an_average_over_tasks_covers_and_is_not_idle() -> None:
    """200 samples of two tasks that truly lose 10 and 0 points; 95 in 100 must cover 5."""
    rng = np.random.default_rng(1)
    covered, widths = 0, []
    for _ in range(200):
        known = rng.random((2, 50)) < 0.8
        kept = known & (rng.random((2, 50)) < [[0.875], [1.0]])
        matrix = itemised(
            {
                "law": ["0" * 50, list(known[0]), list(kept[0])],
                "tax": ["0" * 50, list(known[1]), list(kept[1])],
                "art": ["0" * 50, "0" * 50, "1" * 50],
            },
            trained_in={"law": 1, "tax": 1, "art": 2},
        )
        found = interval(average_forgetting, matrix, draws=200)
        covered += found.low <= 0.05 <= found.high
        widths.append(found.high - found.low)
    assert covered >= 190
    assert np.mean(widths) < 0.15


def test_graded_scores_get_an_interval_that_knows_their_range() -> None:
    found = interval(law_score, itemised({"law": [[0.5] * 20]}))
    share = upper_limit_of_none(20)
    assert (found.low, found.high) == pytest.approx((0.5 - 0.5 * share, 0.5 + 0.5 * share))


def test_pairing_takes_out_the_luck_of_which_items_were_asked() -> None:
    marks = "10" * 50
    paired = interval(law_change, itemised({"law": [marks, "0" + marks[1:]]}))
    unpaired = interval(law_change, itemised({"law": [marks, "01" * 50]}))
    assert paired.high - paired.low < 0.5 * (unpaired.high - unpaired.low)


def test_two_runs_are_paired_item_by_item_even_in_another_order() -> None:
    law = {"law": 1}
    method = itemised({"law": ["0" * 60, "10" * 30]}, trained_in=law)
    cells = {at: Cell(dict(sorted(method.cell(*at).scores.items()))) for at in method.cells}
    joint = ScoreMatrix(method.stages, method.tasks, cells)
    found = interval(partial(intransigence, task="law"), method, joint)
    assert found.high < 0.12  # unpaired, two accuracies of 1/2 from 60 items differ by up to .18


def test_nats_get_the_percentile_bootstrap() -> None:
    rng = np.random.default_rng(5)
    before, after = -rng.random(400), -rng.random(400) - 0.5
    found = interval(law_forgetting, itemised({"law": [list(before), list(after)]}, unit="nats"))
    spread = np.std(before - after) / 20
    assert found.method == "percentile bootstrap"
    assert found.low == pytest.approx(np.mean(before - after) - 1.96 * spread, abs=0.01)
    assert found.high == pytest.approx(np.mean(before - after) + 1.96 * spread, abs=0.01)


def test_few_items_in_nats_are_as_uncertain_as_they_are_few() -> None:
    # Whatever is drawn from five items lies within them, so drawing alone is far too sure.
    rng = np.random.default_rng(6)
    missed, samples = 0, 400
    for _ in range(samples):
        before = -rng.random(5)
        rows = [list(before), list(before - 0.05 - 0.02 * rng.standard_normal(5))]
        found = interval(law_forgetting, itemised({"law": rows}, unit="nats"), draws=500)
        missed += not found.low <= 0.05 <= found.high
    assert missed / samples < 0.08  # of 0.05; drawing alone misses 0.17


def test_nats_that_all_agree_have_no_interval() -> None:
    matrix = itemised({"law": [[-1.0, -2.0], [-1.5, -2.5]]}, unit="nats")
    with pytest.raises(NotMeasured, match="log-likelihoods have no bound"):
        interval(law_forgetting, matrix)


def test_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    matrix = itemised({"law": ["1101" * 10, "0111" * 5 + "1101" * 5]})
    first, again, other = (interval(law_forgetting, matrix, seed=seed) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_higher_level_is_wider() -> None:
    matrix = itemised({"law": ["1101" * 10, "0111" * 10]})
    wide, narrow = (interval(law_forgetting, matrix, level=level) for level in (0.99, 0.9))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_noise_among_equal_rows_is_rarely_taken_for_forgetting() -> None:
    """200 runs of six rows of random answers: the best of five is better than the last by luck.

    In 1000 other runs, at as few draws, 11% gave a false alarm, and 25% did without correction.
    """
    rng = np.random.default_rng(2)
    alarms = plain_alarms = 0
    for _ in range(200):
        rows: list[list[float]] = (rng.random((6, 100)) < 0.6).astype(float).tolist()
        matrix = itemised({"law": rows})
        alarms += interval(law_forgetting, matrix, draws=200).low > 0
        plain_alarms += (
            float(np.quantile(law_forgetting(plain_bootstrap(matrix, 200, rng)), 0.025)) > 0
        )
    assert plain_alarms >= 40
    assert alarms <= 30


def test_interval_contains_the_figure_even_of_skewed_scores() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores = (-rng.lognormal(sigma=2, size=8)).tolist()
        found = interval(law_score, itemised({"law": [scores]}, unit="nats"), level=0.01)
        assert found.low <= np.mean(scores) <= found.high


def test_more_weights_than_fit_at_once_are_drawn_in_blocks() -> None:
    scores = np.arange(10.0)[:, np.newaxis] / 10
    whole = resampled_means(scores, 50, np.random.default_rng(0))
    assert whole.shape == (50, 1)
    large = np.tile(scores, (100_000, 1))  # 1,000,000 items: 4 draws to a block
    seen, unseen = weighted_means(large, 6, np.random.default_rng(0))
    assert seen.shape == unseen.shape == (6, 1)
    np.testing.assert_allclose(seen, 0.45, atol=0.002)


def test_figure_without_items_has_no_interval() -> None:
    with pytest.raises(NotMeasured, match="only mean scores are known"):
        interval(average_accuracy, by_hand(law=(1, [0.1, 0.9])))


def test_items_are_needed_only_of_the_tasks_in_the_figure() -> None:
    items = itemised({"law": ["1100", "1000"]})
    means = by_hand(general=(None, [0.9, 0.8]))
    both = ScoreMatrix(items.stages, items.tasks + means.tasks, {**items.cells, **means.cells})
    assert interval(law_change, both).high > 0


def test_figure_that_does_not_exist_has_no_interval() -> None:
    with pytest.raises(NotMeasured, match="'law' is trained in the last stage"):
        interval(law_forgetting, itemised({"law": ["00", "11"]}, trained_in={"law": 1}))


def test_constant_figure_has_no_interval() -> None:
    with pytest.raises(NotMeasured, match="no score changes this figure"):
        interval(lambda scores: 0 * law_score(scores), itemised({"law": ["10"]}))


def test_gap_that_noise_could_swallow_has_no_interval() -> None:
    def run(marks: str) -> ScoreMatrix:
        return itemised({"law": ["0" * 40, marks]}, trained_in={"law": 1})

    low, middle, high = run("10" * 20), run("10" * 20), run("01" * 18 + "1111")
    assert gap_closed(middle, low, high) == 0.0
    with pytest.raises(NotMeasured, match="of the draws the figure does not exist"):
        interval(gap_closed, middle, low, high)
    # Here only one limit is swallowed: an unseen item could make up for the two that joint gained.
    small = run("10" * 18 + "1111")
    for method in (run("10" * 10 + "00" * 10), run("1" * 40)):
        with pytest.raises(NotMeasured, match="of the draws the figure does not exist"):
            interval(gap_closed, method, low, small)
    clear = interval(gap_closed, run("1" * 20 + "10" * 10), low, run("1" * 40))  # half the way
    assert 0 < clear.low < 0.5 < clear.high < 1
    with pytest.raises(NotMeasured, match="does not exist for these runs"):
        interval(gap_closed, middle, high, low)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_level_must_be_a_share(level: float) -> None:
    with pytest.raises(ValueError, match="needed 0 < level < 1"):
        interval(law_score, itemised({"law": ["10"]}), level=level)


def test_draws_must_be_positive() -> None:
    with pytest.raises(ValueError, match="draws is 0"):
        interval(law_score, itemised({"law": ["10"]}), draws=0)


def test_cells_without_items_are_left_out_of_the_intervals() -> None:
    found = cell_intervals(itemised({"law": ["1100", "xxxx"], "tax": ["1111", "1000"]}))
    assert sorted(found) == [(0, "law"), (0, "tax"), (1, "tax")]
    assert found[0, "tax"] == interval(
        lambda scores: scores.score(0, "tax"), itemised({"tax": ["1111"]})
    )
