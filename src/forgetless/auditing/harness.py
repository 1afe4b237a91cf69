"""Tasks of lm-evaluation-harness, asked of every model of an audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from forgetless.auditing.columns import Column
from forgetless.auditing.imported import asked_task
from forgetless.auditing.subjects import refuse_endpoints
from forgetless.auditing.tasks import AskedTask
from forgetless.errors import UsageError
from forgetless.evaluation.local import LocalSubject
from forgetless.evaluation.subject import Subject
from forgetless.exchange.imported import ImportedTask
from forgetless.exchange.lm_eval_tasks import answer_lm_eval_task, load_lm_eval_tasks


class Harness:
    """Tasks by name, loaded with their data before any model is.

    Args:
        names: With or without ``lm_eval:``.
        include_path: A folder with more tasks.
        limit: Most items of each task.
        batch_size: Most sequences in one forward pass.

    Raises:
        UsageError: if lm-evaluation-harness is missing, or has no such task.
    """

    def __init__(
        self, names: Sequence[str], include_path: Path | None, limit: int | None, batch_size: int
    ) -> None:
        self._tasks = [load_lm_eval_tasks(name, include_path) for name in names]
        self._limit = limit
        self._batch_size = batch_size

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all tasks, those of groups among them; each once, whoever names it twice."""
        return tuple(dict.fromkeys(name for tasks in self._tasks for name in tasks.names))

    def refuse_others(self, subjects: Sequence[Subject]) -> None:
        """Make sure of all models before the first is asked.

        Raises:
            UsageError: if there are tasks, and one is no local model.
        """
        refuse_endpoints(
            subjects if self._tasks else (),
            "tasks of lm-evaluation-harness are asked of local models only",
            fix="run lm_eval on the endpoint with --log_samples, then audit its outputs",
        )

    def ask(self, subject: Subject) -> dict[str, ImportedTask]:
        """What a model answers, by task."""
        if not self._tasks:
            return {}
        assert isinstance(subject, LocalSubject)
        with subject.model() as loaded:
            return {
                task.name: task
                for tasks in self._tasks
                for task in answer_lm_eval_task(
                    loaded, tasks, self._limit, batch_size=self._batch_size
                )
            }


def add_answers(column: Column, answered: Mapping[str, ImportedTask]) -> Column:
    """A column with the answers to the harness's tasks beside its own."""
    more = {name: {result.item: result for result in task.items} for name, task in answered.items()}
    return replace(column, answers={**column.answers, **more})


def harness_tasks(answers: Sequence[Mapping[str, ImportedTask]]) -> list[AskedTask]:
    """What was asked, if all models were asked alike.

    Raises:
        UsageError: naming the task and what differs.
    """
    before, *afters = answers
    for after in afters:
        for name, task in before.items():
            if different := task.conditions.differences(after[name].conditions):
                raise UsageError(
                    f"task {name!r}: the models were not asked the same: "
                    f"{', '.join(different)} differ",
                    fix=f"leave  --task lm_eval:{name}  out",
                )
    return [asked_task(task, [result.item for result in task.items]) for task in before.values()]
