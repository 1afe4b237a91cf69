"""The protocol: every arm at its own best point of a small grid, chosen on data never reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from forgetless.comparing.arms import JOINT, SEQUENTIAL, Arm, Candidate
from forgetless.comparing.runs import Measured
from forgetless.comparing.settings import Setting
from forgetless.comparing.within import kept_tasks, over_budget
from forgetless.errors import NotMeasured
from forgetless.metrics import average_accuracy
from forgetless.metrics.scores import ROUNDING
from forgetless.plan import BudgetConfig


@dataclass(frozen=True)
class Trial:
    """An arm at one point of its grid, with one seed."""

    arm: Arm
    candidate: Candidate
    seed: int


Run = Callable[[Sequence[Trial]], Mapping[Trial, Measured]]


@dataclass(frozen=True)
class Choice:
    """What the search of an arm came to.

    Attributes:
        candidate: The best point; None if none could be scored.
        values: Average accuracy at the end of every point, or the reason why there is none.
        over: By how much each scored point is over the budget; empty without one.
    """

    candidate: Candidate | None
    values: Mapping[Candidate, float | str]
    over: Mapping[Candidate, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What an arm came to.

    Attributes:
        arm: The arm.
        choice: At which point of its grid.
        runs: Its runs there, by seed; empty if no point could be scored.
    """

    arm: Arm
    choice: Choice
    runs: Mapping[int, Measured] = field(default_factory=dict)


def compare(setting: Setting, arms: Sequence[Arm], run: Run) -> list[Outcome]:
    """Choose each arm's rate and options, then measure it.

    Args:
        setting: Where.
        arms: Sequential and joint training among them.
        run: Carries trials out.
    """
    grids = {arm: list(arm.candidates(setting.rates_for(adapter=arm.adapter))) for arm in arms}
    searched = run(
        [
            Trial(arm, candidate, seed)
            for arm, grid in grids.items()
            if len(grid) > 1
            for candidate in grid
            for seed in setting.search_seeds
        ]
    )
    choices = {
        arm: choose(
            {
                candidate: [searched[Trial(arm, candidate, seed)] for seed in setting.search_seeds]
                for candidate in grid
            },
            None if arm.name in (SEQUENTIAL, JOINT) else setting.budget,  # bounds are no choices
        )
        if len(grid) > 1
        else Choice(grid[0], {})
        for arm, grid in grids.items()
    }
    chosen = {arm: choice.candidate for arm, choice in choices.items() if choice.candidate}
    wanted = [Trial(arm, point, seed) for arm, point in chosen.items() for seed in setting.seeds]
    reported = {**searched, **run([trial for trial in wanted if trial not in searched])}
    return [
        Outcome(
            arm,
            choices[arm],
            {seed: reported[Trial(arm, chosen[arm], seed)] for seed in setting.seeds}
            if arm in chosen
            else {},
        )
        for arm in arms
    ]


def choose(
    found: Mapping[Candidate, Sequence[Measured]], budget: BudgetConfig | None = None
) -> Choice:
    """The point of the highest average accuracy, the mean over seeds; of equals, the first.

    With a budget, the highest of those within it, or else the one that is least beyond.  A point at
    which a run failed, or a task could not be scored, is out: a crash is no score.
    """
    reasons: dict[Candidate, str] = {}
    scored: dict[Candidate, float] = {}
    over: dict[Candidate, float] = {}
    for candidate, runs in found.items():
        try:
            scored[candidate], over[candidate] = _worth(runs, budget)
        except NotMeasured as absent:
            reasons[candidate] = absent.message
    best = max(scored, key=lambda candidate: (-over[candidate], scored[candidate]), default=None)
    values = {c: scored[c] if c in scored else reasons[c] for c in found}
    return Choice(best, values, over if budget is not None else {})


def _worth(runs: Sequence[Measured], budget: BudgetConfig | None) -> tuple[float, float]:
    """Average accuracy at the end, and by how much the budget is exceeded; means over seeds.

    Raises:
        NotMeasured: if a run failed, or has no score of a task that counts.
    """
    for run in runs:
        if run.failed is not None:
            raise NotMeasured(run.failed)
    matrices = [run.search for run in runs if run.search is not None]
    value = fmean(float(average_accuracy(matrix)) for matrix in matrices)
    if budget is None or not kept_tasks(matrices[0]):
        return value, 0.0
    beyond = fmean(float(over_budget(matrix, budget)) for matrix in matrices)
    return value, beyond if beyond > ROUNDING else 0.0
