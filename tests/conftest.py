"""For all tests: one thread, no network, no waiting for disks, and a tiny model built once."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a tiny model is slower on more
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp(prefix="forgetless-datasets-")
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tests.tiny import build_model

os.fsync = lambda fd: None  # noqa: ARG005  (what survives a kill was written; flushing takes time)
NO_SEARCH = SimpleNamespace(collect=lambda: 0)


@pytest.fixture(autouse=True)
def _no_search_for_garbage() -> None:
    """After a training accelerate searches all objects of all libraries, for longer than it took.

    It is not imported for this: most tests train nothing.
    """
    memory = sys.modules.get("accelerate.utils.memory")
    if memory is not None:
        vars(memory)["gc"] = NO_SEARCH


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny chat model that knows nothing; do not write into it."""
    import torch

    torch.set_num_threads(1)
    return build_model(tmp_path_factory.mktemp("tiny") / "model")
