"""From the answers of several models to what is said about them."""

from __future__ import annotations

import datetime
import math
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version

from forgetless.auditing.columns import Column, as_cell
from forgetless.auditing.config import AuditConfig
from forgetless.auditing.gate import judge_gate
from forgetless.auditing.judging import Judge
from forgetless.auditing.result import AnsweredItem, AreaChange, Audit, Comparison, Cost, Drift
from forgetless.auditing.tasks import AskedTask
from forgetless.metrics import Evidence, judge, mean_change

MILLION = 1e6  # prices are told for so many tokens
_DECIDE = ("forgetless", "torch", "transformers", "peft", "tokenizers")


def conclude(
    columns: Sequence[Column],
    tasks: Sequence[AskedTask],
    config: AuditConfig,
    *,
    drift: Mapping[str, Sequence[Drift]] | None = None,
    judge: Judge | None = None,
) -> Audit:
    """Judge every model after against the one before.

    Args:
        columns: The model before, then those after, each with all its answers.
        tasks: What they were asked.
        config: Budget and level.
        drift: By label of a model after, how far its predictions moved.
        judge: Who graded answers in free text.
    """
    before, *afters = columns
    costs = {column.subject.label: column.cost for column in columns}
    if judge is not None:
        costs[judge.info.label] = judge.cost
    return Audit(
        before=before.subject,
        afters=tuple(after.subject for after in afters),
        tasks=tuple(task.info for task in tasks),
        budget=config.budget,
        level=config.level,
        comparisons=tuple(
            _compare(before, after, tasks, config, (drift or {}).get(after.subject.label, ()))
            for after in afters
        ),
        items=tuple(item for task in tasks for item in _items(task, columns)),
        costs=costs,
        versions={package: version(package) for package in _DECIDE},
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        judge=None if judge is None else judge.info,
        price=_price(costs.values(), config),
    )


def _price(costs: Collection[Cost], config: AuditConfig) -> float | None:
    """What the endpoints' tokens cost; None where no prices were given, or tokens not counted."""
    if config.price_in is None and config.price_out is None:
        return None
    if any(cost.requests and not cost.input_tokens for cost in costs):
        return None
    return (
        math.fsum(
            cost.input_tokens * (config.price_in or 0)
            + cost.output_tokens * (config.price_out or 0)
            for cost in costs
        )
        / MILLION
    )


def _compare(
    before: Column,
    after: Column,
    tasks: Sequence[AskedTask],
    config: AuditConfig,
    drift: Sequence[Drift],
) -> Comparison:
    found = {task.info.name: _evidence(task, before, after) for task in tasks}
    verdicts = judge(
        tuple(found.values()),
        budget=config.budget,
        nats_budget=config.nats_budget,
        level=config.level,
        most_missing=config.most_missing,
        seed=config.seed,
    )
    members: dict[str, list[str]] = {}
    failed = {verdict.task for verdict in verdicts if verdict.verdict == "failed"}
    for task in tasks:
        if task.info.area and task.info.unit == "accuracy" and task.info.name not in failed:
            members.setdefault(task.info.area, []).append(task.info.name)
    areas = tuple(
        AreaChange(
            area,
            tuple(names),
            mean_change([found[name] for name in names], level=config.level, seed=config.seed),
        )
        for area, names in members.items()
    )
    gate, reason = judge_gate(verdicts)
    return Comparison(after.subject.label, verdicts, areas, tuple(drift), gate, reason)


def _evidence(task: AskedTask, before: Column, after: Column) -> Evidence:
    name = task.info.name
    return Evidence(
        task=name,
        unit=task.info.unit,
        before=before.cell(name),
        after=after.cell(name),
        groups=task.groups,
        chance=task.chance or None,
        readings_before=before.readings(name),
        readings_after=after.readings(name),
        null=tuple(as_cell(asked) for asked in before.others.get(name, ())),
        how=before.how.get(name, ""),
        parts=task.parts,
    )


def _items(task: AskedTask, columns: Sequence[Column]) -> list[AnsweredItem]:
    name = task.info.name
    answered = []
    for item, first in columns[0].answers[name].items():
        results = {
            column.subject.label: column.answers[name][item]
            for column in columns
            if item in column.answers[name]
        }
        answered.append(
            AnsweredItem(
                task=name,
                item=item,
                prompt=first.prompt,
                gold=first.gold,
                choices=first.choices,
                group=task.groups.get(item, ""),
                outputs={label: result.output for label, result in results.items()},
                scores={
                    label: result.score
                    for label, result in results.items()
                    if result.score is not None
                },
                errors={
                    label: result.error
                    for label, result in results.items()
                    if result.error is not None
                },
                level=task.parts.get(item, ""),
            )
        )
    return answered
