"""A local model as a subject."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from forgetless.evaluation import local
from forgetless.evaluation.likelihood import Likelihood, Request, log_likelihoods
from forgetless.evaluation.local import LocalSubject
from forgetless.evaluation.packing import grow
from forgetless.evaluation.result import ItemResult
from forgetless.models.load import LoadedModel
from forgetless.models.opening import InMemory
from forgetless.models.tree import Trunk
from forgetless.tasks.task import Task
from tests.evaluation.build import COLOURS, choices, scored, texts
from tests.training.build import exchange, make_task


def subject(loaded: LoadedModel) -> LocalSubject:
    opening = InMemory(loaded.model, loaded.tokenizer)
    return LocalSubject("taught", "object", loaded.tokenizer, opening, "identity", 8)


def answers(loaded: LoadedModel, task: Task) -> dict[str, ItemResult]:
    found = subject(loaded).answer(task, task.test)
    return {result.item: result for results in found for result in results}


def test_a_subject_answers_as_the_model_is_scored_in_a_run(taught: LoadedModel) -> None:
    for task in (choices(), texts()):
        assert answers(taught, task) == scored(taught, task)


def test_a_generated_answer_comes_with_the_likelihood_of_the_gold_one(
    taught: LoadedModel,
) -> None:
    task = make_task("colours", (), COLOURS.test)
    found = answers(taught, task)
    renderer = task.renderer(taught.tokenizer)
    for row in task.test:
        request = Request(renderer.prompt_ids(row), renderer.continuation_ids(row, row.answer))
        (alone,) = log_likelihoods(taught, [request])
        assert found[row.id].readings["nll"] == pytest.approx(-alone.total / alone.tokens, abs=1e-5)
        plain = scored(taught, task)[row.id]
        assert found[row.id].readings.keys() - plain.readings.keys() == {"nll"}
        assert found[row.id].score == plain.score


def test_gold_answers_of_a_batch_are_read_in_packs_that_keep_to_the_batch_size(
    taught: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 8 sequences: that is 96 tokens on a CPU."""
    rows = [exchange(str(n), f"{n} is the number of which colour?", "red") for n in range(12)]
    nodes: list[int] = []

    def counted(
        loaded: LoadedModel, asked: list[Request], trunk: Trunk | None = None
    ) -> list[Likelihood]:
        nodes.append(len(grow(asked, len(trunk.ids) if trunk else 0).ids))
        return log_likelihoods(loaded, asked, trunk)

    monkeypatch.setattr(local, "log_likelihoods", counted)
    found = answers(taught, make_task("t", (), rows, max_new_tokens=1))
    assert all("nll" in result.readings for result in found.values())
    assert sum(nodes) > 96 >= max(nodes)


def test_a_request_is_another_with_another_prompt_gold_or_scorer(taught: LoadedModel) -> None:
    asked = subject(taught)
    task = make_task("t", (), [exchange("1", "Which?", "red")])
    row = task.test[0]
    seen = [
        asked.request(task, row),
        asked.request(task, exchange("1", "Which one?", "red")),
        asked.request(task, exchange("1", "Which?", "blue")),
        asked.request(make_task("t", (), [row], score="contains"), row),
        asked.request(make_task("t", (), [row], max_new_tokens=3), row),
        asked.request(make_task("t", (), [row], render="plain"), row),
        asked.request(make_task("t", (), [row], system="Be brief."), row),
    ]
    assert len(set(seen)) == len(seen)
    assert asked.request(make_task("other", (), [row]), replace(row, id="2")) == seen[0]


def test_conditions_name_what_differs(taught: LoadedModel) -> None:
    asked = subject(taught)
    task = make_task("t", (), [exchange("1", "Which?", "red")])
    same = asked.conditions(task)
    assert same.differences(asked.conditions(task)) == []
    brief = make_task("t", (), task.test, system="Be brief.")
    assert same.differences(asked.conditions(brief)) == ["prompts", "tokens"]
    short = make_task("t", (), task.test, max_new_tokens=3)
    assert same.differences(asked.conditions(short)) == ["generation"]
    other = make_task("t", (), [exchange("1", "Which?", "blue")])
    assert same.differences(asked.conditions(other)) == ["items", "tokens"]


def test_a_part_of_the_items_is_rendered_as_the_whole_task_is(taught: LoadedModel) -> None:
    mixed = make_task("t", (), [exchange("1", "Which?", "red"), exchange("2", "And?", "blue")])
    asked = subject(taught)
    alone = list(asked.answer(mixed, mixed.test[1:]))
    assert alone[0][0].prompt == answers(taught, mixed)["2"].prompt
    assert math.isfinite(alone[0][0].readings["nll"])
