"""Our figures against Avalanche's; ``make_avalanche_oracle.py`` says what its definitions are."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import numpy as np
import pytest

from forgetless.metrics import (
    ScoreMatrix,
    backward_transfer,
    best_earlier,
    forgetting,
    forward_transfer,
    learned_score,
)

from .build import itemised
from .make_avalanche_oracle import ORACLE, avalanche_figures, random_rows

CASES = json.loads(ORACLE.read_text())["cases"]


def run_of(rows: list[list[str]]) -> ScoreMatrix:
    columns = {f"task {j}": [row[j] for row in rows] for j in range(len(rows[0]))}
    return itemised(columns, trained_in={name: j + 1 for j, name in enumerate(columns)})


def compare(rows: list[list[str]], theirs: dict[str, Any]) -> int:
    """Hold one run against Avalanche's figures; returns how often forgetting was the same."""
    run = run_of(rows)
    assert backward_transfer(run) == pytest.approx(theirs["stream_bwt"])
    assert forward_transfer(run) == pytest.approx(theirs["stream_forward_transfer"])
    same = 0
    for column, lost, gained in zip(run.tasks, theirs["forgetting"], theirs["bwt"], strict=True):
        if column.trained_in == run.last:
            assert lost is gained is None
            continue
        learned = learned_score(run, column.name)
        assert run.score(run.last, column.name) - learned == pytest.approx(gained)
        ours = forgetting(run, column.name)
        if best_earlier(run, column.name) == learned:
            same += 1
            assert ours == pytest.approx(lost)
        else:
            assert ours > lost
    return same


def test_saved_figures_of_avalanche_agree_where_the_definitions_do() -> None:
    same = [compare(case["rows"], case) for case in CASES]
    tasks = [len(case["rows"][0]) - 1 for case in CASES]
    assert sum(same) >= 20, "the definitions must agree often enough to mean something"
    assert sum(same) < sum(tasks), "and must differ somewhere, or the maximum is never tested"


@pytest.mark.skipif(
    importlib.util.find_spec("avalanche") is None,
    reason="avalanche-lib is not installed (how: tests/metrics/make_avalanche_oracle.py)",
)
def test_installed_avalanche_agrees_on_runs_never_saved() -> None:
    rng = np.random.default_rng(7)
    for number in range(20):
        rows = random_rows(rng, best_when_learned=number % 2 == 0)
        compare(rows, avalanche_figures(rows))
