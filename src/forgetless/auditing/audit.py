"""THE AUDIT ON ONE PAGE: find the models, ask all the same, judge every task, say it in a word.

Whatever can be refused is refused before a model is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from forgetless.auditing.asking import ask_tasks
from forgetless.auditing.columns import Column
from forgetless.auditing.comparable import check_comparable
from forgetless.auditing.conclusion import conclude
from forgetless.auditing.config import AuditConfig, make_config
from forgetless.auditing.drifting import DriftMeter
from forgetless.auditing.harness import Harness, add_answers, harness_tasks
from forgetless.auditing.imported import (
    are_results,
    read_columns,
    refuse_questions_to_results,
)
from forgetless.auditing.judging import as_judged, find_judge, refuse_judge_of_results
from forgetless.auditing.result import Audit, SubjectInfo
from forgetless.auditing.rewording import other_way
from forgetless.auditing.stores import Stores
from forgetless.auditing.subjects import describe, find_subjects
from forgetless.auditing.tasks import AskedTask, gather_tasks, split_tasks
from forgetless.errors import UsageError
from forgetless.evaluation.answers import AnswerStore
from forgetless.evaluation.result import ItemResult
from forgetless.evaluation.subject import Conditions, Subject
from forgetless.progress import Progress
from forgetless.tasks.given import refuse_namesakes


def audit(
    before: Any,
    *afters: Any,
    tasks: Sequence[Any] = (),
    suite: str | None = None,
    limit: int | None = None,
    store: bool | Path = True,
    folder: Path | None = None,
    include_path: Path | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Audit:
    """Ask models before and after the same, and judge what was lost.

    Args:
        before: The model before: a name, a path, or the pair (model, tokenizer).
        *afters: One or several models after.
        tasks: What to ask: files, ``bundled:NAME``, ``lm_eval:NAME``, task settings or tasks.
        suite: A built-in suite; the default one if there are no tasks.
        limit: Most items of each task.
        store: Keep answers in the user's cache and take them from there; or in this file.
        folder: Where an endpoint's answers are kept until the audit is done, so that one that was
            killed can be continued; its model may change behind its name, so no longer than that.
        include_path: A folder with more tasks of lm-evaluation-harness.
        progress: Is told how far it is.
        **settings: The fields of :class:`~forgetless.auditing.config.AuditConfig`, such as
            ``budget="2%"``.

    Returns:
        What was found; ``.gate`` says it in a word.

    Raises:
        UsageError: for what cannot be asked or compared, before any model is loaded.

    Example:
        >>> import forgetless
        >>> found = forgetless.audit("base", "tuned", tasks=["exam.jsonl"])  # doctest: +SKIP
        >>> found.gate                                                       # doctest: +SKIP
        'broken'
    """
    config = make_config(settings)
    progress = progress or Progress()
    if not afters:
        raise UsageError("an audit needs a model after as well", fix="audit(BEFORE, AFTER, ...)")
    if are_results([before, *afters]):
        refuse_judge_of_results(config)
        refuse_questions_to_results(tasks, suite, limit, include_path, config)
        return conclude(*read_columns([before, *afters]), config)
    own, named = split_tasks(tasks)
    asked = gather_tasks(own, suite, limit, default=not named)
    harness = Harness(named, include_path, limit, config.batch_size)
    refuse_namesakes([*(one.info.name for one in asked), *harness.names])
    drift = DriftMeter(asked) if config.drift else None
    columns, harnessed = [], []
    with ExitStack() as leaving, Stores(store, folder) as stores:
        subjects = find_subjects([before, *afters], config)
        for subject in subjects:
            leaving.callback(subject.close)
        harness.refuse_others(subjects)
        if drift is not None:
            drift.refuse_others(subjects)
        infos, asked = _check(subjects, describe(subjects), asked)
        judge = find_judge(config, subjects, asked, stores, progress)
        if judge is not None:
            leaving.callback(judge.close)
        for number, (subject, info) in enumerate(zip(subjects, infos, strict=True), start=1):
            progress.model(info.label, number, len(subjects))
            column = _ask(subject, info, asked, stores.of(subject), progress, config, number == 1)
            if judge is not None:
                column = judge.grade(column, asked)
            harnessed.append(harness.ask(subject))
            columns.append(add_answers(column, harnessed[-1]))
            if drift is not None:
                drift.measure(subject, info.label)
            subject.close()  # only one model is in memory
        stores.done()
    if judge is not None:
        asked = [as_judged(one) for one in asked]
    asked += harness_tasks(harnessed)
    return conclude(
        columns,
        asked,
        config,
        drift=drift.found if drift is not None else {},
        judge=judge,
    )


def _check(
    subjects: Sequence[Subject], infos: Sequence[SubjectInfo], asked: Sequence[AskedTask]
) -> tuple[list[SubjectInfo], list[AskedTask]]:
    """Refuse what is not asked alike; differences without effect become notes.

    Returns:
        The models with their notes, and the tasks with how they are put to all of them.
    """
    before, *others = (
        {one.info.name: subject.conditions(one.task) for one in asked if one.task is not None}
        for subject in subjects
    )
    first, *afters = infos
    checked = [first]
    for info, own in zip(afters, others, strict=True):
        notes = check_comparable(before, own, (first.name, info.name))
        checked.append(replace(info, notes=(*info.notes, *notes)))
    return checked, [_put(one, [before, *others]) for one in asked]


def _put(one: AskedTask, conditions: Sequence[Mapping[str, Conditions]]) -> AskedTask:
    """A task with what was the same for all models in how it was put to them."""
    if one.task is None:
        return one
    first, *others = (of_model[one.info.name] for of_model in conditions)
    differing = {part for other in others for part in first.differences(other)}
    same = {part: value for part, value in first.parts.items() if part not in differing}
    return replace(one, info=replace(one.info, conditions=same))


def _ask(
    subject: Subject,
    info: SubjectInfo,
    asked: Sequence[AskedTask],
    answers: AnswerStore,
    progress: Progress,
    config: AuditConfig,
    first: bool,
) -> Column:
    """Everything that one model answers; the model before is asked in other ways as well."""
    tasks = [one.task for one in asked if one.task is not None]
    main = ask_tasks(subject, tasks, answers, progress)
    others: dict[str, list[dict[str, ItemResult]]] = {}
    how: dict[str, str] = {}
    cost = main.cost
    for way in range(config.null_ways if first else 0):
        for task in tasks:
            otherwise = other_way(task, way, config.seed)
            if otherwise is None:
                continue
            turned, how[task.name] = otherwise
            again = ask_tasks(subject, [turned], answers, progress, how[task.name])
            others.setdefault(task.name, []).append(dict(again.answers[task.name]))
            cost = cost.plus(again.cost)
    return Column(info, main.answers, cost, others, how)
