"""Items of one group are drawn together."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from forgetless.metrics import Groups, Interval, ScoreMatrix, ScoreStack, Unit, interval
from forgetless.metrics.pairing import number_groups
from forgetless.metrics.scores import FloatArray

from .build import itemised


def change(scores: ScoreStack) -> FloatArray:
    return scores.score(1, "law") - scores.score(0, "law")


def limits(matrix: ScoreMatrix, groups: Groups | None = None, draws: int = 2000) -> Interval:
    return interval(change, in_groups(matrix, {"law": groups or {}}), draws=draws)


def in_groups(matrix: ScoreMatrix, groups: dict[str, Groups]) -> ScoreMatrix:
    tasks = [replace(task, groups=groups.get(task.name, {})) for task in matrix.tasks]
    return ScoreMatrix(matrix.stages, tasks, matrix.cells)


def groups_of(size: int, items: int) -> dict[str, str]:
    return {f"q{i}": f"passage {i // size}" for i in range(items)}


MARKS = "1101011110", "1001010110"


@pytest.mark.parametrize("unit", ["accuracy", "nats"])
def test_groups_of_one_item_change_nothing(unit: Unit) -> None:
    rows = [-np.random.default_rng(i).random(40) for i in (1, 2)]
    sign = 1 if unit == "nats" else -1
    matrix = itemised({"law": [list(sign * row) for row in rows]}, unit=unit)
    assert limits(matrix, groups_of(1, 40)) == limits(matrix)
    assert limits(matrix, {f"q{i}": "" for i in range(40)}) == limits(matrix)


def test_groups_of_k_identical_items_say_what_one_of_each_says() -> None:
    few = itemised({"law": [row * 3 for row in MARKS]})
    # q0 to q9 in order, each four times, with ids that sort in the same way.
    many = itemised({"law": ["".join(mark * 4 for mark in row * 3) for row in MARKS]})
    grouped = limits(many, groups_of(4, 120), draws=20_000)
    single = limits(few, draws=20_000)
    assert grouped.low == pytest.approx(single.low, abs=0.005)
    assert grouped.high == pytest.approx(single.high, abs=0.005)
    assert grouped.high - grouped.low > 1.6 * (limits(many).high - limits(many).low)


def test_a_single_cell_of_identical_groups_keeps_its_exact_interval() -> None:
    many = itemised({"law": ["1111" * 6 + "0000" * 4]})
    few = itemised({"law": ["1" * 6 + "0" * 4]})
    score = partial(ScoreStack.score, stage=0, task="law")
    grouped = interval(score, in_groups(many, {"law": groups_of(4, 40)}))
    assert grouped == interval(score, few)
    assert grouped.method == "Clopper-Pearson"


def test_three_groups_without_a_flip_leave_as_much_room_as_three_items() -> None:
    found = limits(itemised({"law": ["1" * 300] * 2}), groups_of(100, 300))
    assert -found.low == pytest.approx(1 - 0.025 ** (1 / 3))


def test_unequal_groups_are_weighted_by_their_items() -> None:
    """Of 90 items in 30 groups of two and 10 of three, the mean is that of the items."""
    rng = np.random.default_rng(0)
    sizes = [2] * 30 + [3] * 10
    of_group = np.repeat(np.arange(40), sizes)
    lost = (rng.random(40) < 0.3)[of_group]
    matrix = itemised({"law": ["1" * 90, list(1.0 - lost)]})
    groups = {f"q{i}": str(group) for i, group in enumerate(of_group)}
    found = limits(matrix, groups)
    assert found.low < -lost.mean() < found.high
    assert found.low != limits(matrix).low


def test_tasks_may_be_grouped_apart() -> None:
    matrix = itemised({"law": [m * 4 for m in MARKS], "tax": [m * 4 for m in MARKS]})
    plain = limits(matrix)
    other = interval(change, in_groups(matrix, {"tax": groups_of(4, 40)}))
    assert other == plain


def test_few_groups_of_log_likelihoods_widen_by_students_t() -> None:
    rng = np.random.default_rng(1)
    shift = np.repeat(rng.normal(size=5), 40)
    rows = [np.full(200, -9.0), -9.0 + 0.5 * shift]
    found = limits(itemised({"law": [list(row) for row in rows]}, unit="nats"), groups_of(40, 200))
    means = 0.5 * shift[::40]
    error = means.std(ddof=1) / np.sqrt(5)
    # Student's t with 4 degrees of freedom: 2.776; the bootstrap's quantiles are not quite normal.
    assert found.high - found.low == pytest.approx(2 * 2.776 * error, rel=0.15)


def test_two_groups_widen_by_students_t_with_one_degree_of_freedom() -> None:
    """Of two groups the bootstrap draws one twice in half of all draws: its limits are their means.

    They are 0.4 apart; 12.706 is Student's t, 1.960 the normal quantile, and 2 / (2 - 1) under the
    root what two draws understate.
    """
    after = np.repeat([-9.2, -8.8], 40)
    found = limits(itemised({"law": [[-9.0] * 80, list(after)]}, unit="nats"), groups_of(40, 80))
    assert found.high - found.low == pytest.approx(0.4 * 12.706 / 1.960 * np.sqrt(2), rel=1e-3)


def test_interval_by_groups_covers_where_the_one_by_items_does_not() -> None:
    """200 samples of 15 groups of 10 items that are lost together, one in ten."""
    rng = np.random.default_rng(2)
    by_groups = by_items = 0
    for _ in range(200):
        lost = np.repeat(rng.random(15) < 0.1, 10)
        matrix = itemised({"law": ["1" * 150, list(1.0 - lost)]})
        found = limits(matrix, groups_of(10, 150), draws=200)
        by_groups += found.low <= -0.1 <= found.high
        plain = limits(matrix, draws=200)
        by_items += plain.low <= -0.1 <= plain.high
    assert by_groups >= 190
    assert by_items <= 160


def test_items_are_numbered_by_group_in_the_order_of_their_first_items() -> None:
    found = number_groups(["a", "b", "c", "d"], {"b": "x", "d": "x", "c": ""})
    assert found is not None
    assert found.tolist() == [0, 1, 2, 1]
    assert number_groups(["a", "b"], {"a": "b"}) is None  # a group's name is no item's


@pytest.mark.parametrize("rights", [[40] + [0] * 12, [0] + [1] * 12])
def test_limits_of_unequal_groups_stay_within_the_scale(rights: list[int]) -> None:
    sizes = [40] + [1] * 12
    marks = "".join(
        "1" * right + "0" * (size - right) for size, right in zip(sizes, rights, strict=True)
    )
    group = [f"passage {number}" for number, size in enumerate(sizes) for _ in range(size)]
    groups = {f"q{i}": name for i, name in enumerate(group)}
    matrix = in_groups(itemised({"law": ["1" * 52, marks]}), {"law": groups})
    after = interval(partial(ScoreStack.score, stage=1, task="law"), matrix)
    assert 0 <= after.low <= after.high <= 1
    moved = interval(change, matrix)
    assert -1 <= moved.low <= moved.high <= 1


def test_the_best_of_several_rows_is_corrected_in_unequal_groups_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    rows = [list((rng.random(60) < 0.5).astype(float)) for _ in range(6)]
    matrix = in_groups(itemised({"law": rows}), {"law": groups_of(5, 30)})

    def best(scores: ScoreStack) -> FloatArray:
        return np.asarray(np.max([scores.score(row, "law") for row in range(6)], axis=0), float)

    corrected = interval(best, matrix)
    monkeypatch.setattr("forgetless.metrics.bootstrap._BIAS_WEIGHT", 0.0)
    assert corrected.low < interval(best, matrix).low - 0.01
