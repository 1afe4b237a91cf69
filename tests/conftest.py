"""For all tests: one thread, no network, and a tiny model built once."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a tiny model is slower on more
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tests.tiny import build_model  # noqa: E402 - reads the settings above


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny chat model that knows nothing; do not write into it."""
    import peft  # noqa: F401 - so that it is frozen with the others
    import torch

    import forgetless.training.trainer  # noqa: F401

    torch.set_num_threads(1)
    # accelerate collects garbage after every training; the libraries' own objects are never garbage
    gc.freeze()
    return build_model(tmp_path_factory.mktemp("tiny") / "model")
