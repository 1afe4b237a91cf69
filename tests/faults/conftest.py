from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.experiment import load_all, prepare


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """The tiny model and the rows of three tasks; all that a run needs is loaded."""
    folder = tmp_path_factory.mktemp("faults")
    prepare(folder, tiny_model)
    load_all(folder, folder / "loaded")
    return folder
