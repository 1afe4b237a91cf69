"""The same items asked in another way, in which nothing that is known can be lost.

How many answers flip between two ways of asking is how many flip by themselves: the empirical null
beside which the flips of a fine-tune are read.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from forgetless.tasks.letters import lettered
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.task import Task, load_task

# Neutral frames for a question; the n-th other way of asking takes the n-th.
_QUESTIONS = (
    "Question: {}",
    "Here is a question.\n{}",
    "{}\nGive your answer.",
    "Please answer the following.\n{}",
    "Read this and answer it.\n\n{}",
)
# And for the beginning of a sentence that the model completes.
_CLOZES = (
    "It is known that: {}",
    "A fact: {}",
    "Complete the sentence. {}",
    "Here is a true statement. {}",
    "As everybody knows: {}",
)


def other_way(task: Task, way: int, seed: int) -> tuple[Task, str] | None:
    """A task asked in another way.

    Args:
        task: The task as it is asked.
        way: Which other way, from 0.
        seed: Of the permutations.

    Returns:
        The same items under the same ids, and what was changed; None where a task cannot be asked
        otherwise, as plain text cannot.
    """
    if task.config.score == "nll" or not task.test[0].prompt:
        return None
    if task.config.score == "multiple_choice" and task.config.choose_by == "letter":
        spelt = load_task(task.config.model_copy(update={"choose_by": "text"}))
        items = {row.id: row for row in spelt.test}
        if all(row.id in items for row in task.test):
            rows = [lettered(_permuted(items[row.id], way, seed)) for row in task.test]
            return replace(task, test=rows), "choices permuted"
    frames: Sequence[str] = _CLOZES if task.config.render == "plain" else _QUESTIONS
    frame = frames[way % len(frames)]
    return replace(task, test=[_framed(row, frame) for row in task.test]), "wording changed"


def _permuted(row: Row, way: int, seed: int) -> Row:
    """The choices in another order: the right one moves, whatever the draw."""
    rng = random.Random(f"{seed}/{way}/{row.id}")  # noqa: S311
    count = len(row.choices)
    turn = rng.randrange(1, count)
    turned = [row.choices[(place + turn) % count] for place in range(count)]
    gold = turned.index(row.answer)
    others = [place for place in range(count) if place != gold]
    drawn = rng.sample(others, len(others))
    for place, source in zip(others, [turned[index] for index in drawn], strict=True):
        turned[place] = source
    return replace(row, choices=tuple(turned))


def _framed(row: Row, frame: str) -> Row:
    *before, last = row.prompt
    asked = Turn(last.role, frame.replace("{}", last.content))
    return replace(row, prompt=(*before, asked))
