"""A model with a skill, and the same model after it was taught the opposite."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from forgetless.models.load import LoadedModel
from tests.tiny import write_rows
from tests.training.build import fresh

WORDS = ("red", "blue", "green", "grey", "pink", "gold")


@dataclass(frozen=True)
class Damage:
    """Two model folders and the skill that one has and the other lost.

    Attributes:
        before: Answers every item right.
        after: Answers every item wrong.
        items: JSONL of the items.
    """

    before: Path
    after: Path
    items: Path


@pytest.fixture(scope="session")
def damage(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Damage:
    """A skill that falls from 1.0 to 0.0."""
    folder = tmp_path_factory.mktemp("damage")
    asked = [f"colour {number}?" for number in range(24)]
    rows = [
        {"prompt": prompt, "completion": WORDS[number % 6]} for number, prompt in enumerate(asked)
    ]
    loaded = fresh(tiny_model)
    for name, turned in (("before", 0), ("after", 1)):
        answers = [WORDS[(number + turned) % 6] for number in range(len(asked))]
        teach(loaded, dict(zip(asked, answers, strict=True)))
        loaded.model.save_pretrained(folder / name)
        loaded.tokenizer.save_pretrained(folder / name)
    return Damage(folder / "before", folder / "after", write_rows(folder / "colours.jsonl", rows))


def teach(loaded: LoadedModel, answers: dict[str, str], steps: int = 200, lr: float = 5e-3) -> None:
    """Train until the answers are known by heart."""
    tokenizer, model = loaded.tokenizer, loaded.model.train()
    texts = [
        f"<|user|>{asked}<|end|>\n<|assistant|>{said}<|end|>" for asked, said in answers.items()
    ]
    ids = [tokenizer(text)["input_ids"] for text in texts]
    length = max(map(len, ids))
    pad = tokenizer.pad_token_id
    batch = torch.tensor([row + [pad] * (length - len(row)) for row in ids])
    labels = torch.tensor([row + [-100] * (length - len(row)) for row in ids])
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr)
    for _ in range(steps):
        model(input_ids=batch, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.eval()
