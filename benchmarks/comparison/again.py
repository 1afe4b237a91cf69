"""Kept results measured again: every arm at the point that was chosen then, nothing searched."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from scipy.stats import t as student

from benchmarks.comparison.tables import Table
from forgetless.comparing.arms import Arm, Candidate
from forgetless.comparing.protocol import Choice, Outcome, Run, Trial
from forgetless.comparing.settings import Setting

CONFIDENCE = 0.95
DIGITS = 2  # what the tables tell

Row = Mapping[str, Any]


def measure(setting: Setting, arms: Sequence[Arm], kept: Sequence[Row], run: Run) -> list[Outcome]:
    """Each arm at its kept rate and options, with the seeds of the setting.

    Args:
        setting: Where.
        arms: Sequential and joint training among them.
        kept: The rows of the results that are measured again.
        run: Carries trials out.

    Raises:
        ValueError: if an arm is not in the kept results, or had no point that could be scored.
    """
    choices = {arm: _choice(arm, kept) for arm in arms}
    trials = {
        arm: {seed: Trial(arm, choice.candidate, seed) for seed in setting.seeds}
        for arm, choice in choices.items()
        if choice.candidate is not None
    }
    found = run([trial for seeds in trials.values() for trial in seeds.values()])
    return [
        Outcome(arm, choices[arm], {seed: found[trial] for seed, trial in seeds.items()})
        for arm, seeds in trials.items()
    ]


def _choice(arm: Arm, kept: Sequence[Row]) -> Choice:
    """What the search of an arm came to when the results were kept."""
    row = next((row for row in kept if row["arm"] == arm.name), None)
    if row is None or row["rate"] is None:
        raise ValueError(f"the kept results have no point of {arm.name!r}; search it first")
    values = {
        _candidate(point): point["failed"] if "failed" in point else point["accuracy"]
        for point in row["searched"]
    }
    return Choice(_candidate(row), values)


def _candidate(point: Row) -> Candidate:
    return Candidate(point["rate"], tuple(point["tuned"].items()))


def compared(kept: Sequence[Row], now: Sequence[Row]) -> Table:
    """The average accuracy of each arm then and now, and whether it came out again.

    It did if the mean of now lies in the interval of the mean over the seeds of then (Student's t,
    95%), where half of the last digit that the tables tell is allowed for.
    """
    before = {row["arm"]: row for row in kept}
    lines = []
    for row in now:
        then, again = _averages(before[row["arm"]]), _averages(row)
        cells = ["failed"] * 3
        if then and again:
            around = _half_width(then) + 0.5 * 10**-DIGITS
            inside = abs(fmean(again) - fmean(then)) <= around
            cells = [
                f"{fmean(then):.2f} ± {around:.2f}",
                f"{fmean(again):.2f}",
                "yes" if inside else "no",
            ]
        lines.append([row["arm"], *cells])
    return Table(["methods", "average then", "now", "within"], lines)


def _averages(row: Row) -> list[float]:
    """The average accuracy of each run; nothing where one of them has none."""
    values = [run.get("average_accuracy") for run in row["runs"]]
    return [] if None in values else [float(value) for value in values]


def _half_width(values: Sequence[float]) -> float:
    """Half of the interval of a mean; 0 for a single value, of which nothing is known."""
    many = len(values)
    if many < 2:
        return 0.0
    return float(student.ppf((1 + CONFIDENCE) / 2, many - 1)) * stdev(values) / math.sqrt(many)
