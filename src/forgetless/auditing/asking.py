"""Put tasks to a model, taking from the store what it was asked before."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from forgetless.auditing.result import Cost
from forgetless.evaluation.answers import AnswerStore, answer_key
from forgetless.evaluation.result import ItemResult
from forgetless.evaluation.subject import Subject
from forgetless.progress import Progress
from forgetless.tasks.task import Task

Answers = Mapping[str, Mapping[str, ItemResult]]
"""Task name to item id to result."""

UNANSWERED = "the model gave no answer"


@dataclass(frozen=True)
class Asked:
    """What a model answered, and what it took.

    Attributes:
        answers: By task and item.
        cost: Time, and how many answers were in the store.
    """

    answers: Answers
    cost: Cost


def ask_tasks(
    subject: Subject,
    tasks: Sequence[Task],
    store: AnswerStore,
    progress: Progress,
    aside: str = "",
) -> Asked:
    """Ask a model every item of some tasks.

    Answers are kept as they come: a killed audit goes on where it was.

    Args:
        subject: The model.
        tasks: What to ask.
        store: Where answers are kept.
        progress: Is told how far it is.
        aside: What it is told beside the task's name.
    """
    started, cpu_started = time.perf_counter(), time.process_time()
    before = replace(subject.usage)
    answers: dict[str, Mapping[str, ItemResult]] = {}
    stored = 0
    for task in tasks:
        keys = {
            row.id: answer_key(subject.identity(), subject.request(task, row)) for row in task.test
        }
        kept = store.find(keys.values())
        found = {
            item: replace(kept[key], task=task.name, item=item)
            for item, key in keys.items()
            if key in kept
        }
        stored += len(found)
        left = [row for row in task.test if row.id not in found]
        name = f"{task.name}, {aside}" if aside else task.name
        progress.scored(name, len(found), len(task.test))
        for results in subject.answer(task, left) if left else ():
            store.keep({keys[result.item]: result for result in results})
            found.update((result.item, result) for result in results)
            progress.scored(name, len(found), len(task.test))
        answers[task.name] = MappingProxyType(
            {row.id: found.get(row.id) or _unanswered(task, row.id) for row in task.test}
        )
    used = subject.usage
    asked = sum(len(task.test) for task in tasks) - stored
    cost = Cost(
        seconds=time.perf_counter() - started,
        cpu_seconds=time.process_time() - cpu_started,
        asked=asked,
        stored=stored,
        requests=used.requests - before.requests,
        input_tokens=used.input_tokens - before.input_tokens,
        output_tokens=used.output_tokens - before.output_tokens,
    )
    return Asked(MappingProxyType(answers), cost)


def _unanswered(task: Task, item: str) -> ItemResult:
    row = next(row for row in task.test if row.id == item)
    return ItemResult(task.name, item, "", row.answer, row.choices or None, error=UNANSWERED)
