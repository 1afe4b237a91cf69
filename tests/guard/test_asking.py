"""Asking leaves a model as it was found, and is the same however many ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from forgetless import processes
from forgetless.errors import RunFailed
from forgetless.guard import asking
from forgetless.guard.asking import ask_tasks
from tests.guard.build import known_task
from tests.training.build import exchange, fresh, keep_tables, make_task


def test_processes_together_score_what_one_scores(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [
        known_task(tiny_model),
        make_task("one", test=[exchange("t", "one?", "1")]),
    ]  # of the second only one process asks
    alone = ask_tasks(fresh(tiny_model), tasks, 8)
    shares: list[Any] = []

    def alone_in(value: Any) -> list[Any]:
        shares.append(value)
        return [value] * 3

    monkeypatch.setattr(processes, "count", lambda: 3)
    monkeypatch.setattr(asking, "gathered", alone_in)
    for rank in range(3):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        ask_tasks(fresh(tiny_model), tasks, 8)
    known = [{*answers["known"][0]} for answers, _ in shares]
    assert sum(map(len, known)) == len(set().union(*known)) == len(tasks[0].test)
    assert all(known)
    assert sorted(len(answers["one"][0]) for answers, _ in shares) == [0, 0, 1]

    monkeypatch.setattr(asking, "gathered", lambda _: shares)
    together = ask_tasks(fresh(tiny_model), tasks, 8)
    assert {n: dict(c.scores) for n, c in together.items()} == {
        n: dict(c.scores) for n, c in alone.items()
    }
    assert list(together["known"].scores) == [row.id for row in tasks[0].test]


def test_a_fault_of_one_process_is_told_in_all(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "gathered", lambda own: [own, ({}, "OutOfMemoryError()")])
    with pytest.raises(RunFailed, match=r"^process 1 could not ask the tasks in training: OutOf"):
        ask_tasks(fresh(tiny_model), [known_task(tiny_model)], 8)


def test_what_a_model_caches_while_asked_lets_gradients_through_afterwards(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_tables(monkeypatch)
    loaded = fresh(tiny_model)
    ask_tasks(loaded, [known_task(tiny_model)], 8)
    ids = torch.tensor([[1, 2, 3]])
    loaded.model.train()
    loaded.model(input_ids=ids, labels=ids).loss.backward()
    assert loaded.model.lm_head.weight.grad is not None
