"""An echo is computed in blocks, to the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from forgetless.models.load import LoadedModel, load_model
from forgetless.plan import ModelConfig
from forgetless.serving import echoing
from forgetless.serving.echoing import echoed

TEXT = "Größe und Gewicht, one after another: " * 3


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> LoadedModel:
    return load_model(ModelConfig(name=str(tiny_model)), "cpu")


@pytest.mark.parametrize("obstacle", [None, "it looks away"])
@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_no_more_logits_are_held_than_a_block_has_and_they_are_those_of_the_whole(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch, block: int, obstacle: str | None
) -> None:
    monkeypatch.setattr(echoing, "BLOCK", block)
    monkeypatch.setattr(echoing, "obstacle", lambda _: obstacle)
    ids = loaded.tokenizer(TEXT)["input_ids"]
    with torch.inference_mode():
        rows = torch.log_softmax(loaded.model(torch.tensor([ids])).logits[0], -1)
    held: list[int] = []

    def see(_: Any, __: Any, logits: torch.Tensor) -> None:
        held.append(logits.shape[1])

    with loaded.model.get_output_embeddings().register_forward_hook(see):
        tokens = echoed(loaded, ids, 3)
    assert max(held) <= block
    assert sum(held) == len(ids)
    assert "".join(token.text for token in tokens) == TEXT
    assert tokens[0].logprob is None
    wanted = [float(rows[place, token]) for place, token in enumerate(ids[1:])]
    assert [token.logprob for token in tokens[1:]] == pytest.approx(wanted, abs=1e-5)
    tops = [value for token in tokens[1:] for _, value in token.tops]
    assert tops == pytest.approx(rows[:-1].topk(3).values.flatten().tolist(), abs=1e-5)


def test_an_echo_that_nobody_waits_for_ends_with_its_block(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(echoing, "BLOCK", 10)
    ids = loaded.tokenizer(TEXT)["input_ids"]
    assert len(echoed(loaded, ids, 0, lambda: True)) == 11
