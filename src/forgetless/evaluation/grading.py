"""From an answer to its item result: the same for a local model and for an endpoint; no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from forgetless.evaluation.result import ItemResult
from forgetless.tasks.matching import MATCHERS, READINGS, normalise
from forgetless.tasks.row import Row
from forgetless.tasks.rules import check
from forgetless.tasks.task import Task

GENERATED = frozenset({*MATCHERS, "rules"})
"""Scorers of what a model writes."""

NOT_A_NUMBER = "the model's likelihood is not a number"


@dataclass(frozen=True)
class Likelihood:
    """Sum of log-probabilities in nats, and the number of tokens it is over."""

    total: float
    tokens: int


def score_generated(task: Task, row: Row, prompt: str, output: str | None) -> ItemResult:
    """Compare a generated answer with the gold answers; None: a logit was not a number."""
    if output is None:
        return failure(task, row, prompt, NOT_A_NUMBER)
    if task.config.score == "rules":
        readings = check(row.rules, output).readings
        score = readings["strict"]
    else:
        golds = (row.answer, *row.aliases)
        names = dict.fromkeys((*READINGS, task.config.score))
        readings = {name: MATCHERS[name](output, golds) for name in names}
        score = readings[task.config.score]
    return _about(task, row, prompt)(
        output=output,
        answer=normalise(output),
        score=score,
        correct=None if task.config.score == "token_f1" else score == 1.0,
        readings=readings,
    )


def score_choices(
    task: Task, row: Row, prompt: str, likelihoods: Sequence[Likelihood]
) -> ItemResult:
    """The likeliest choice by sum and per character; both are kept, the plan says which counts.

    Ties go to the first, as in NumPy's argmax and so in lm-evaluation-harness.
    """
    gold = row.gold
    totals = [likelihood.total for likelihood in likelihoods]
    if not all(map(math.isfinite, totals)):
        return failure(task, row, prompt, NOT_A_NUMBER)
    per_character = [total / len(choice) for total, choice in zip(totals, row.choices, strict=True)]
    by_sum, by_character = totals.index(max(totals)), per_character.index(max(per_character))
    picked = by_character if task.config.normalise else by_sum
    return _about(task, row, prompt)(
        output=row.choices[picked],
        answer=row.choices[picked],
        score=float(picked == gold),
        correct=picked == gold,
        readings={
            "acc": float(by_sum == gold),
            "acc_norm": float(by_character == gold),
            "nll": -totals[gold] / likelihoods[gold].tokens,
        },
    )


def score_picked(
    task: Task,
    row: Row,
    prompt: str,
    picked: int | None,
    *,
    output: str | None = None,
    readings: Mapping[str, float] | None = None,
) -> ItemResult:
    """A choice that the model named.

    Args:
        task: Its task.
        row: The item.
        prompt: The prompt as the model saw it.
        picked: Number of the choice; None if it named none, which is wrong and not missing.
        output: What the model said; None: the choice itself.
        readings: Further readings.
    """
    right = picked == row.gold
    choice = "" if picked is None else row.choices[picked]
    return _about(task, row, prompt)(
        output=choice if output is None else output,
        answer=choice,
        score=float(right),
        correct=right,
        readings={"acc": float(right), **(readings or {})},
    )


def score_text(task: Task, row: Row, prompt: str, likelihood: Likelihood) -> ItemResult:
    """How likely the gold answer is, per token."""
    per_token = likelihood.total / likelihood.tokens
    if not math.isfinite(per_token):
        return failure(task, row, prompt, NOT_A_NUMBER)
    return _about(task, row, prompt)(
        score=per_token,
        readings={"nll": -per_token, "tokens": float(likelihood.tokens)},
    )


def failure(task: Task, row: Row, prompt: str, reason: str) -> ItemResult:
    """An item that could not be scored, and why."""
    return _about(task, row, prompt)(error=reason)


def _about(task: Task, row: Row, prompt: str) -> partial[ItemResult]:
    """A result that lacks what the model said."""
    return partial(
        ItemResult,
        task=task.name,
        item=row.id,
        prompt=prompt,
        gold=row.answer,
        choices=row.choices or None,
    )
