"""Asking leaves a model as it was found, and is the same however many ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed

from forgetless.errors import RunFailed
from forgetless.guard.asking import ask_tasks
from tests.guard.build import known_task
from tests.training.build import exchange, fresh, make_task


def test_processes_together_score_what_one_scores(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [
        known_task(tiny_model),
        make_task("one", test=[exchange("t", "one?", "1")]),
    ]  # of the second only one process asks
    alone = ask_tasks(fresh(tiny_model), tasks, 8, 0, 1)
    shares: list[Any] = []

    def alone_in(found: list[Any], mine: Any) -> None:
        shares.append(mine)
        found[:] = [mine] * 3

    monkeypatch.setattr(distributed, "all_gather_object", alone_in)
    for rank in range(3):
        ask_tasks(fresh(tiny_model), tasks, 8, rank, 3)
    assert sorted(len(answers["known"][0]) for answers, _ in shares) == [13, 13, 14]
    assert sorted(len(answers["one"][0]) for answers, _ in shares) == [0, 0, 1]

    def gathered(found: list[Any], mine: Any) -> None:
        found[:] = shares

    monkeypatch.setattr(distributed, "all_gather_object", gathered)
    together = ask_tasks(fresh(tiny_model), tasks, 8, 1, 3)
    assert {n: dict(c.scores) for n, c in together.items()} == {
        n: dict(c.scores) for n, c in alone.items()
    }
    assert list(together["known"].scores) == [row.id for row in tasks[0].test]


def test_a_fault_of_one_process_is_told_in_all(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gathered(found: list[Any], mine: Any) -> None:
        found[:] = [mine, ({}, "OutOfMemoryError()")]

    monkeypatch.setattr(distributed, "all_gather_object", gathered)
    with pytest.raises(RunFailed, match="process 1 could not ask: OutOfMemoryError"):
        ask_tasks(fresh(tiny_model), [known_task(tiny_model)], 8, 0, 2)


def test_what_a_model_caches_while_asked_lets_gradients_through_afterwards(
    tiny_model: Path,
) -> None:
    loaded = fresh(tiny_model)
    norm = loaded.model.model.norm
    original = norm.forward

    def caching(states: torch.Tensor) -> torch.Tensor:
        if not hasattr(norm, "table"):
            norm.table = torch.ones(states.shape[-1]) * 2  # as some models keep cos and sin
        scaled: torch.Tensor = original(states) * norm.table
        return scaled

    norm.forward = caching
    ask_tasks(loaded, [known_task(tiny_model)], 8, 0, 1)
    ids = torch.tensor([[1, 2, 3]])
    loaded.model.train()
    loaded.model(input_ids=ids, labels=ids).loss.backward()
    assert loaded.model.lm_head.weight.grad is not None
