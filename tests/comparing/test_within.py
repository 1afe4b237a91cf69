"""How runs stand to a budget, and the point of a grid that is taken for it."""

from __future__ import annotations

import pytest

from forgetless.comparing.arms import Candidate
from forgetless.comparing.protocol import choose
from forgetless.comparing.runs import Measured
from forgetless.comparing.within import over_budget
from forgetless.errors import NotMeasured
from forgetless.metrics import ScoreMatrix, TaskColumn
from forgetless.plan import BudgetConfig
from tests.metrics.build import cell


def matrix(law: str, art: str, *, known: str = "1111") -> ScoreMatrix:
    """Law is learned to 4 of 4 and art in the last stage; they end as given."""
    tasks = [TaskColumn("law", trained_in=1), TaskColumn("art", trained_in=2), TaskColumn("known")]
    rows = {
        "law": ["0000", "1111", law],
        "art": ["0000", "0000", art],
        "known": ["1100", "1111", known],
    }
    cells = {(row, task): cell(row_of[row]) for task, row_of in rows.items() for row in range(3)}
    return ScoreMatrix(["base", "law", "art"], tasks, cells)


def test_the_largest_loss_beyond_the_budget_is_counted_from_when_a_task_was_learned() -> None:
    found = matrix("1110", "0000", known="1000")
    assert over_budget(found, BudgetConfig(loss=0.1)) == pytest.approx(0.15)
    assert over_budget(found, BudgetConfig(loss=0.3)) == pytest.approx(-0.05)
    single = BudgetConfig(loss=0.3, tasks={"law": 0.05})
    assert over_budget(found, single) == pytest.approx(0.2)
    # half of the 0.50 that were known are 0.25, half of the 1.00 of law are 0.50
    assert over_budget(found, BudgetConfig(loss=0.5, relative=True)) == pytest.approx(0.0)


def test_where_no_task_has_to_be_kept_nothing_is_measured() -> None:
    alone = ScoreMatrix(
        ["base", "law"],
        [TaskColumn("law", trained_in=1)],
        {(0, "law"): cell("00"), (1, "law"): cell("11")},
    )
    with pytest.raises(NotMeasured, match="no task has to be kept"):
        over_budget(alone, BudgetConfig(loss=0.1))
    choice = choose({Candidate(1e-3): [Measured(alone, alone)]}, BudgetConfig(loss=0.1))
    assert choice.over == {Candidate(1e-3): 0.0}


def test_a_point_of_which_a_task_could_not_be_scored_is_out_and_says_why() -> None:
    sound, half, broken = Candidate(1e-4), Candidate(1e-3), Candidate(1e-2)
    runs = {
        sound: [Measured(matrix("1000", "1000"))],
        half: [Measured(matrix("1000", "1111", known="xxxx"))],  # a kept task
        broken: [Measured(matrix("1111", "xxxx"))],  # a trained one
    }
    found = choose(runs, BudgetConfig(loss=0.1))
    assert found.candidate == sound
    assert list(found.over) == [sound]
    for candidate, task in ((half, "known"), (broken, "art")):
        assert task in str(found.values[candidate])
    assert choose(runs).candidate == half  # without a budget nothing has to be kept


def test_of_the_points_within_the_budget_the_best_is_chosen_else_the_nearest() -> None:
    slow, middle, fast = Candidate(1e-4), Candidate(1e-3), Candidate(1e-2)
    ends = {slow: ("1110", "1000"), middle: ("1110", "1110"), fast: ("1000", "1111")}
    runs = {
        point: [Measured(matrix(*end), matrix(*end), (), None, "cpu")]
        for point, end in ends.items()
    }
    assert choose(runs).candidate == middle
    runs[fast] = [Measured(matrix("1100", "1111"), None, (), None, "cpu")]
    assert choose(runs).candidate in (middle, fast)
    within = choose(runs, BudgetConfig(loss=0.3))
    assert within.candidate == middle
    assert within.over == {slow: 0.0, middle: 0.0, fast: pytest.approx(0.2)}
    assert choose({fast: runs[fast], slow: runs[slow]}, BudgetConfig(loss=0.1)).candidate == slow
