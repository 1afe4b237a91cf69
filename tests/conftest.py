"""For all tests: one thread, no network, and a tiny model built once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a tiny model is slower on more
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp(prefix="forgetless-datasets-")
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tests.tiny import build_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of a tiny chat model that knows nothing; do not write into it."""
    import torch
    from accelerate.utils import memory

    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        # After every training accelerate searches all objects of all libraries for garbage, which
        # takes longer than the training.
        patch.setattr(memory, "gc", SimpleNamespace(collect=lambda: 0))
        yield build_model(tmp_path_factory.mktemp("tiny") / "model")
