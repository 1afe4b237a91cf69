"""Likelihoods and choices against lm-evaluation-harness; the script beside says how it is asked."""

from __future__ import annotations

import importlib.util
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from forgetless.evaluation.likelihood import Request, log_likelihoods
from forgetless.models.load import LoadedModel
from forgetless.tasks.task import Task
from tests.evaluation.build import scored
from tests.evaluation.make_lm_eval_oracle import ORACLE, ask_lm_eval, items, pairs, save
from tests.training.build import exchange, load, make_task

FROZEN: dict[str, Any] = json.loads(ORACLE.read_text())


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> LoadedModel:
    return load(save(tmp_path_factory.mktemp("oracle")))


def as_task() -> Task:
    rows = [
        exchange(
            number,
            item["question"],
            item["choices"][item["answer"]],
            choices=tuple(item["choices"]),
        )
        for number, item in enumerate(items())
    ]
    return make_task("colours", (), rows, score="multiple_choice", render="plain")


def compare(loaded: LoadedModel, theirs: dict[str, Any], tolerance: float) -> None:
    task = as_task()
    renderer = task.renderer(loaded.tokenizer)
    asked = [
        Request(renderer.prompt_ids(row), renderer.continuation_ids(row, row.answer))
        for row in task.test
    ]
    totals = [likelihood.total for likelihood in log_likelihoods(loaded, asked)]
    assert totals == pytest.approx(theirs["loglikelihood"], abs=tolerance)
    assert [renderer.prompt(row) for row in task.test] == [context for context, _ in pairs()]
    results = scored(loaded, task, batch_size=7)
    for reading in ("acc", "acc_norm"):
        ours = [results[row.id].readings[reading] for row in task.test]
        assert ours == theirs[reading]
        assert sum(ours) / len(ours) == pytest.approx(theirs["means"][reading])


def test_likelihoods_and_choices_are_those_of_lm_evaluation_harness(loaded: LoadedModel) -> None:
    """As it was asked when ``lm_eval_oracle.json`` was written."""
    compare(loaded, FROZEN, 1e-3)


def test_frozen_answers_tell_the_two_accuracies_apart() -> None:
    assert len(FROZEN["acc"]) == len(items()) == len(FROZEN["loglikelihood"])
    assert FROZEN["acc"] != FROZEN["acc_norm"]


def test_tokens_are_cut_where_words_are_merged_over_the_boundary(loaded: LoadedModel) -> None:
    """The first token of an answer is its word with the space before it, as one."""
    row = exchange("a", "What colour is grass?", "green")
    renderer = make_task("t", (), [row], render="plain").renderer(loaded.tokenizer)
    assert loaded.tokenizer.convert_ids_to_tokens(renderer.continuation_ids(row, "green")) == [
        "Ġgreen"
    ]


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("lm_eval") is None,
    reason="lm_eval is not installed; frozen answers are used",
)
def test_likelihoods_and_choices_are_those_of_lm_evaluation_harness_now(
    loaded: LoadedModel,
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = ask_lm_eval()
    compare(loaded, theirs, 1e-4)
