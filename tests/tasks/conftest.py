from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Write = Callable[[str, str | bytes], str]


@pytest.fixture(scope="session", autouse=True)
def dataset_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache of ``datasets``, away from the user's own."""
    import datasets

    folder = tmp_path_factory.mktemp("datasets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
        yield folder


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a data file and give its path as a plan names it."""

    def place(name: str, content: str | bytes) -> str:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(file)

    return place
