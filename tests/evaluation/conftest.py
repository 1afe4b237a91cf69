"""Models whose answers say something: one that was taught a little, one that knows nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from forgetless.models.load import LoadedModel
from tests.evaluation.build import COLOURS
from tests.training.build import fresh, load


@pytest.fixture(scope="session")
def taught_folder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny chat model that has seen the colours for a while; some of its answers are right."""
    loaded = load(tiny_model)
    model, tokenizer = loaded.model.train(), loaded.tokenizer
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    texts = [
        f"<|user|>{row.prompt[0].content}<|end|>\n<|assistant|>{row.answer}<|end|>"
        for row in COLOURS.train
    ]
    ids = [tokenizer(text)["input_ids"] for text in texts]
    length = max(map(len, ids))
    batch = torch.tensor([row + [256] * (length - len(row)) for row in ids])
    labels = torch.tensor([row + [-100] * (length - len(row)) for row in ids])
    for _ in range(80):
        model(input_ids=batch, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    folder = tmp_path_factory.mktemp("taught")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def taught(taught_folder: Path) -> LoadedModel:
    """The taught model, loaded; do not change it."""
    return load(taught_folder)


@pytest.fixture
def uniform(tiny_model: Path) -> LoadedModel:
    """A model to which every token is equally likely, always."""
    loaded = fresh(tiny_model)
    with torch.no_grad():
        loaded.model.get_input_embeddings().weight.zero_()  # and so the tied head
    return loaded


@pytest.fixture(scope="session")
def tiny(tiny_model: Path) -> LoadedModel:
    """The model that knows nothing, loaded; do not change it."""
    return load(tiny_model)
