"""A judge in an audit: the answers in free text are graded by a model that is not under test."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from forgetless.auditing.asking import ask_tasks
from forgetless.auditing.columns import Column
from forgetless.auditing.config import AuditConfig
from forgetless.auditing.result import NOTHING_SPENT, SubjectInfo
from forgetless.auditing.stores import Stores
from forgetless.auditing.subjects import find_subjects
from forgetless.auditing.tasks import AskedTask
from forgetless.endpoints import PREFIX, EndpointConfig, EndpointSubject
from forgetless.errors import UsageError
from forgetless.evaluation.answers import AnswerStore
from forgetless.evaluation.judge import (
    FREE_TEXT,
    READING,
    can_be_judged,
    graded,
    judging_task,
    refuse_own_judge,
)
from forgetless.evaluation.result import ItemResult
from forgetless.evaluation.subject import Subject
from forgetless.progress import Progress
from forgetless.tasks.task import Task

KEY_VARIABLE = "FORGETLESS_JUDGE_API_KEY"
"""Environment variable with the judge's key, where it is another than that of the models asked."""


class Judge:
    """Grades answers in free text; its grades take the place of the scores.

    Args:
        subject: The model that judges.
        store: Where its replies are kept, so that equal answers are judged once.
        progress: Is told how far it is.
    """

    def __init__(self, subject: Subject, store: AnswerStore, progress: Progress) -> None:
        self._subject = subject
        self._store = store
        self._progress = progress
        self.cost = NOTHING_SPENT

    @property
    def info(self) -> SubjectInfo:
        """What the report says of it."""
        judge = self._subject
        return SubjectInfo(
            label="judge",
            name=judge.name,
            kind=judge.kind,
            identity=judge.identity(),
            details=judge.details(),
            notes=tuple(judge.notes()),
        )

    def grade(self, column: Column, asked: Sequence[AskedTask]) -> Column:
        """A model's answers with grades in the place of the scores of free text.

        Raises:
            RunFailed: if the judge stopped answering.
        """
        answers = dict(column.answers)
        others = dict(column.others)
        for task in (one.task for one in asked if one.task is not None):
            if not can_be_judged(task):
                continue
            answers[task.name] = self._graded(task, column.answers[task.name])
            if task.name in others:
                others[task.name] = [self._graded(task, again) for again in others[task.name]]
        return replace(column, answers=MappingProxyType(answers), others=others)

    def close(self) -> None:
        """Let go of the model."""
        self._subject.close()

    def _graded(self, task: Task, answers: Mapping[str, ItemResult]) -> Mapping[str, ItemResult]:
        asked = judging_task(task, answers.values())
        found = ask_tasks(self._subject, [asked], self._store, self._progress)
        self.cost = self.cost.plus(found.cost)
        replies = found.answers[asked.name]
        scorer = task.config.score
        return {
            item: graded(result, replies[item], scorer) if item in replies else result
            for item, result in answers.items()
        }


def find_judge(
    config: AuditConfig,
    tested: Sequence[Subject],
    asked: Sequence[AskedTask],
    stores: Stores,
    progress: Progress,
) -> Judge | None:
    """Who judges; None if the settings name nobody.

    Raises:
        UsageError: if it is under test itself, or there is nothing to judge.
    """
    if config.judge is None:
        return None
    if not any(one.task is not None and can_be_judged(one.task) for one in asked):
        raise UsageError(
            f"--judge {config.judge}: no task has answers in free text "
            f"(scored by {' or '.join(sorted(FREE_TEXT))}), so there is nothing to judge",
            fix="leave --judge out, or name a task with such answers:  --task FILE",
        )
    refuse_own_judge(config.judge, tested)
    subject = _opened(config.judge, config)
    judge = Judge(subject, stores.of(subject), progress)
    try:
        refuse_own_judge(config.judge, tested, subject.identity())
    except UsageError:
        judge.close()
        raise
    return judge


def _opened(name: str, config: AuditConfig) -> Subject:
    """The judge, who may have a key of its own."""
    if not name.startswith(PREFIX) or not os.environ.get(KEY_VARIABLE):
        (judge,) = find_subjects([name], config)
        return judge
    return EndpointSubject(EndpointConfig.named(name, config.base_url, key_variable=KEY_VARIABLE))


def refuse_judge_of_results(config: AuditConfig) -> None:
    """Results were imported: their answers were scored elsewhere, and are taken as they are.

    Raises:
        UsageError: if the settings name a judge.
    """
    if config.judge is not None:
        raise UsageError(
            f"--judge {config.judge}: results of other tools are not judged anew",
            fix="leave --judge out, or name the models in place of their results",
        )


def as_judged(asked: AskedTask) -> AskedTask:
    """A task as the report tells of it if its answers are judged."""
    if asked.task is None or not can_be_judged(asked.task):
        return asked
    return replace(asked, info=replace(asked.info, scorer=READING))
