"""The honesty bars: what is simulated is what the table says, and a broken bar is told."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from benchmarks.honesty import Line, simulate, table

from benchmarks import honesty


@pytest.mark.parametrize("size", [1, 5])
def test_simulated_tasks_lose_and_flip_as_much_as_they_should(size: int) -> None:
    rng = np.random.default_rng(0)
    found = simulate(rng, "x", items=60_000, accuracy=0.8, flips=0.1, loss=0.05, size=size)
    before, after = found.scores
    assert before.mean() == pytest.approx(0.8, abs=0.01)
    assert before.mean() - after.mean() == pytest.approx(0.05, abs=0.01)
    assert (before != after).mean() == pytest.approx(0.1, abs=0.01)
    assert (found.number is None) == (size == 1)


@pytest.mark.parametrize("accuracy", [0.3, 0.98])
def test_a_model_against_itself_loses_as_often_as_it_gains(accuracy: float) -> None:
    rng = np.random.default_rng(1)
    before, after = simulate(rng, "x", items=60_000, accuracy=accuracy, flips=0.2).scores
    assert (before > after).mean() == pytest.approx((before < after).mean(), abs=0.005)


def test_one_task_that_is_not_as_wanted_breaks_its_bar() -> None:
    held, broken = (
        honesty._all("floor", Counter({"at floor": 9, "lost": count}), "at floor")
        for count in (0, 1)
    )
    assert (held.held, broken.held) == (True, False)
    shown = table([held, broken, Line("told only", "3%", "no bar", None)]).splitlines()
    assert shown[2].endswith("| held |")
    assert shown[3].endswith("at floor 9, lost 1 (of 10) | all at floor | **broken** |")
    assert shown[4].endswith("| no bar |  |")
