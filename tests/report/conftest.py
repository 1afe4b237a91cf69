"""Four arms over three accuracies and one log-likelihood, as a demonstration would leave them."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetless.report import Report, Verdict, analyse, reach_verdict, read_run

from .fake_runs import write_arms


@pytest.fixture(scope="session")
def arms(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders of plain, replay, ewc and joint."""
    return write_arms(tmp_path_factory.mktemp("arms"))


@pytest.fixture(scope="session")
def report(arms: list[Path]) -> Report:
    return analyse([read_run(folder) for folder in arms])


@pytest.fixture(scope="session")
def verdict(report: Report) -> Verdict:
    return reach_verdict(report)
