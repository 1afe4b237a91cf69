"""THE REPAIR ON ONE PAGE: search between base and tuned model, certify on other items, write.

Nothing is trained.  A full rollback to the base is no repair, and is never called one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forgetless.errors import ModelError, RunFolderError, UsageError
from forgetless.evaluation.result import ItemResult
from forgetless.evaluation.scorer import score_task
from forgetless.layout import REPAIR, WEIGHTS
from forgetless.metrics import Cell
from forgetless.metrics.frontier import NEXT_TO_NOTHING
from forgetless.models.load import (
    LoadedModel,
    adapted,
    load_model,
    load_tokenizer,
    pick_device,
)
from forgetless.models.save import save_stage_model
from forgetless.models.source import find_model, weights_hash
from forgetless.plan import BudgetConfig, ModelConfig, check_counts, make_part
from forgetless.progress import Progress
from forgetless.repairing.certificate import (
    Judged,
    certificate,
    concluded,
    kept_of_gain,
    taken,
)
from forgetless.repairing.points import BASE, TUNED, Between, Point
from forgetless.repairing.result import WRITTEN, PointScored, RepairResult, Status
from forgetless.repairing.search import Found, Tried, search, told
from forgetless.tasks.given import TaskLike, read_task, refuse_namesakes
from forgetless.tasks.halves import FEWEST_ITEMS, by_lot, halves
from forgetless.tasks.task import Task

if TYPE_CHECKING:
    import torch


def repair(
    base: str,
    tuned: str,
    tasks: Sequence[TaskLike],
    *,
    budget: float | BudgetConfig = 0.02,
    output: Path | None = None,
    limit: int | None = None,
    device: str = "auto",
    batch_size: int = 32,
    progress: Progress | None = None,
) -> RepairResult:
    """Find the model between two that keeps most of what was learned within a budget of loss.

    Half of every task's items search, the other half certifies: on it the best point found, and
    more cautious ones before it, are judged against the base as in an audit.

    Args:
        base: The model before tuning.
        tuned: The model after, of the same shape; or a LoRA adapter of the base.
        tasks: Old and new, at least one of each kind; which is which is found out by asking.
        budget: Largest loss accepted on every task against the base: a share, or nats per token; or
            the budget of a plan, with other losses for single tasks or relative to the base.
        output: Where the repaired model is written; None writes none.  It must not hold a model:
            another repair's, or a model that is asked here; nor ``repair.json``.
        limit: Most items of each task.
        device: Where to compute.
        batch_size: Sequences in one pass.
        progress: Is told how far it is.

    Raises:
        UsageError: for tasks, models or numbers that cannot be used.
    """
    check_counts("repair", {"batch_size": batch_size}, {"limit": limit})
    if not tasks:
        raise UsageError("a repair needs tasks to measure", fix="--task old.jsonl --task new.jsonl")
    if output is not None:
        _refuse_what_is_in(output)
    progress = progress or Progress()
    asked = [read_task(task, limit) for task in tasks]
    names = [task.name for task in asked]
    refuse_namesakes(names)
    accepted = _accepted(budget, names)
    searching, certifying = zip(*map(halves, asked), strict=True)
    searching = tuple(map(by_lot, searching))  # the first few stand for all of a sorted file
    progress.working("loading BASE and TUNED")
    loaded, between = _between(base, tuned, pick_device(device))
    asker = _Asker(loaded, between, int(batch_size))
    progress.working("asking BASE and TUNED")

    def budgets(tasks: Sequence[Task]) -> dict[str, float]:
        at_base = asker.means(BASE, tasks, 1.0)
        return {task: accepted.allowed(task, score) for task, score in at_base.items()}

    allowed = budgets(certifying)  # before the search: a task without an answer is refused
    found = search(
        lambda point, share: asker.means(point, searching, share),
        budgets(searching),
        adapter=between.adapter,
        progress=progress,
    )
    items = {task.name: len(task.test) for task in searching}
    said, reason = _said(found)
    result = RepairResult(
        said or "no point", reason, None, found.learned, found.lost, {}, (),
        tuple(_scored(one) for one in found.frontier()), found.asked, items,
    )  # fmt: skip
    if said is not None:
        return result
    way = found.steps()
    certified = list(dict.fromkeys((BASE, TUNED, *(step.point for step in way))))
    cells = {
        point: asker.cells(point, certifying)
        for point in told(progress, "certifying, points asked", certified)
    }
    judged = []
    for step in way:
        verdicts = certificate(certifying, cells[BASE], cells[step.point], allowed)
        judged.append(Judged(step, verdicts, *concluded(verdicts, repaired=bool(found.lost))))
    chosen = taken(judged)
    point = chosen.tried.point
    result = replace(
        result,
        status=chosen.status,
        reason=chosen.reason,
        point=_scored(chosen.tried),
        kept=kept_of_gain(found.learned, cells[BASE], cells[TUNED], cells[point]),
        certificate=chosen.verdicts,
    )
    if output is None or chosen.status not in WRITTEN:
        return result
    between.set(point)
    place = save_stage_model(loaded.model, loaded.tokenizer, output)
    return replace(result, model=str(place))


def _refuse_what_is_in(output: Path) -> None:
    """Keep what is there: a repair that fails must leave no other model that passes for its own.

    Raises:
        RunFolderError: if a model, an adapter or what a repair came to is there.
    """
    for name in (*WEIGHTS, REPAIR):
        if (output / name).exists():
            raise RunFolderError(
                f"{output}: holds {name} already, of another repair or run, which is kept",
                fix=f"--output {output}-2",
            )


def _said(found: Found) -> tuple[Status | None, str]:
    """Why there is no point that could be certified; None if there is one.

    Where nothing was lost it is the tuned model itself.
    """
    if not found.lost:
        return None, ""
    if not found.learned:
        return "no point", "the tuned model is better on no task: nothing speaks against the base"
    best = found.best()
    if best.over > 0 or best.learned < NEXT_TO_NOTHING or best.point == BASE:
        return "no point", (
            "every point within the budget keeps next to nothing of what was learned"
        )
    return None, ""


class _Asker:
    """Puts tasks to points, each once."""

    def __init__(self, loaded: LoadedModel, between: Between, batch_size: int) -> None:
        self._loaded = loaded
        self._between = between
        self._batch_size = batch_size
        self._known: dict[tuple[Point, str, str], ItemResult] = {}

    def means(self, point: Point, tasks: Sequence[Task], share: float) -> dict[str, float]:
        """Mean score of each task over the first share of its items.

        Raises:
            UsageError: if no item of a task can be scored.
        """
        found = {}
        for task in tasks:
            few = replace(task, test=task.test[: max(FEWEST_ITEMS, round(share * len(task.test)))])
            results = self._ask(point, few)
            scores = [r.score for r in results if r.score is not None]
            if not scores:
                raise UsageError(
                    f"task {task.name!r}: no item can be scored at point {point}: "
                    f"{results[0].error}",
                    fix="name a task with shorter items; in Python, lower its  max_new_tokens",
                )
            found[task.name] = float(np.mean(scores))
        return found

    def cells(self, point: Point, tasks: Sequence[Task]) -> dict[str, Cell]:
        """Every item of some tasks."""
        found = {}
        for task in tasks:
            results = self._ask(point, task)
            found[task.name] = Cell(
                {r.item: r.score for r in results if r.score is not None},
                {r.item: r.error for r in results if r.error is not None},
            )
        return found

    def _ask(self, point: Point, task: Task) -> list[ItemResult]:
        keys = {row.id: (point, task.name, row.id) for row in task.test}
        left = [row for row in task.test if keys[row.id] not in self._known]
        if left:
            self._between.set(point)
            part = replace(task, test=left)
            for batch in score_task(self._loaded, part, self._batch_size):
                self._known.update((keys[result.item], result) for result in batch)
        return [self._known[key] for key in keys.values()]


def _between(base: str, tuned: str, device: str) -> tuple[LoadedModel, Between]:
    """The tuned model in memory, and what it takes to move it.

    An adapter stays one if it has nothing but LoRA's factors; any other is merged into its base.

    Raises:
        ModelError: if the two are no two states of one model.
    """
    before, config = (make_part(ModelConfig, {"name": name}, "repair") for name in (base, tuned))
    source = find_model(config)
    if source.kind == "adapter":
        own = source.base
        if own is not None and weights_hash(own) != weights_hash(find_model(before)):
            raise ModelError(
                f"{tuned} is an adapter of {own.location}, not of {base}",
                fix=f"name its own base:  forgetless repair {own.location} {tuned}",
            )
        plain = load_model(before, device)
        model = adapted(plain.model, source).to(device).eval()
        if _only_factors(model):
            loaded = LoadedModel(model, load_tokenizer(config))
            return loaded, _changing(Between(model, None), base, tuned)
    values = _values(load_model(before, device))
    loaded = load_model(config, device)
    shapes = {name: tuple(value.shape) for name, value in loaded.model.named_parameters()}
    if shapes != {name: tuple(value.shape) for name, value in values.items()}:
        raise ModelError(
            f"{base} and {tuned} are not two states of one model: their weights differ in name or "
            "shape",
            fix="name the model that was tuned as BASE",
        )
    return loaded, _changing(Between(loaded.model, values), base, tuned)


def _only_factors(model: Any) -> bool:
    """Whether an adapter is all products B A: no magnitudes, no whole weights beside them."""
    from peft import get_peft_model_state_dict

    names = get_peft_model_state_dict(model)
    return all(".lora_A." in name or ".lora_B." in name for name in names)


def _changing(between: Between, base: str, tuned: str) -> Between:
    if not between.changed:
        raise ModelError(
            f"{tuned} has the weights of {base}: there is nothing between them",
            fix="name the model before tuning, and the one after",
        )
    return between


def _values(loaded: LoadedModel) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu() for name, value in loaded.model.named_parameters()}


def _accepted(budget: float | BudgetConfig, names: Sequence[str]) -> BudgetConfig:
    if not isinstance(budget, BudgetConfig):
        return make_part(BudgetConfig, {"loss": budget}, "repair: budget")
    for name in budget.tasks:
        if name not in names:
            raise UsageError(
                f"there is a budget for task {name!r}; the tasks are {', '.join(names)}",
                fix=f"name one of them, or the task:  --task {name}=FILE",
            )
    return budget


def _scored(tried: Tried) -> PointScored:
    return PointScored(str(tried.point), tried.learned, tried.over, dict(tried.scores))
