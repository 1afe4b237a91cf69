"""Everything a run has to say about itself: each figure and how sure it is, or why it is absent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from forgetless.errors import NotMeasured
from forgetless.metrics.bootstrap import Interval, interval
from forgetless.metrics.comparisons import average_intransigence, intransigence
from forgetless.metrics.figures import (
    average_accuracy,
    backward_transfer,
    forward_transfer,
    learned_score,
    learning_accuracy,
)
from forgetless.metrics.matrix import ScoreMatrix
from forgetless.metrics.pairing import restrict_to_common_items
from forgetless.metrics.retention import (
    average_forgetting,
    average_retention_change,
    best_earlier,
    forgetting,
    retention_change,
)
from forgetless.metrics.scores import Scores, Unit, V


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with its interval, or the reason why there is none.

    Attributes:
        value: In the unit of the figure; ``None`` if it does not exist or was not measured.
        interval: Where it may lie; ``None`` if that cannot be said.
        reason: Why the value is absent or, beside a value, why the interval is.
    """

    value: float | None
    interval: Interval | None
    reason: str | None

    def turned(self) -> Figure:
        """The same with its sign turned: of a change, the loss."""
        if self.value is None:
            return self
        limits = self.interval
        if limits is not None:
            limits = Interval(-limits.high, -limits.low, limits.level, limits.method)
        return Figure(0.0 - self.value, limits, self.reason)


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """What happened to one task.

    Attributes:
        name: Name of the task.
        unit: Unit of its scores.
        trained_in: Stage in which it is trained; ``None`` if it is only tested.
        items: Number of items that its scores are means over; ``None`` if only means are known.
        excluded: Number of items that some row could not score, and that no score counts.
        base: Score of the untouched model.
        learned: Score right after its stage.
        best_earlier: Best score before the last stage.
        final: Score after the last stage.
        forgetting: ``best_earlier - final``; positive = lost.
        change: ``final - base``; negative = lost.
        intransigence: Learned by joint training less learned here; positive = held back.
    """

    name: str
    unit: Unit
    trained_in: int | None
    items: int | None
    excluded: int
    base: Figure
    learned: Figure
    best_earlier: Figure
    final: Figure
    forgetting: Figure
    change: Figure
    intransigence: Figure


@dataclass(frozen=True, slots=True)
class Summary:
    """What happened to all tasks, and on average.

    Attributes:
        stages: Names of the rows of the matrix.
        tasks: Task by task, in the order of the columns.
        average_accuracy: Final score, averaged over the trained tasks.
        learning_accuracy: Score right after its stage, averaged over the trained tasks.
        backward_transfer: What later stages did to learned tasks; negative = lost.
        forward_transfer: What earlier stages did for tasks yet to be learned; positive = helped.
        average_forgetting: Best earlier score less the final one; positive = lost.
        average_retention_change: Final less base, over the tasks only tested; negative = lost.
        average_intransigence: Joint training's learned score less this run's; positive = held back.
        count_base: Whether the untouched model counts as an earlier row in forgetting.
        level: Confidence level of each interval on its own.
    """

    stages: tuple[str, ...]
    tasks: tuple[TaskSummary, ...]
    average_accuracy: Figure
    learning_accuracy: Figure
    backward_transfer: Figure
    forward_transfer: Figure
    average_forgetting: Figure
    average_retention_change: Figure
    average_intransigence: Figure
    count_base: bool
    level: float

    def task(self, name: str) -> TaskSummary:
        """The summary of one task.

        Raises:
            ValueError: if there is no such task.
        """
        for task in self.tasks:
            if task.name == name:
                return task
        names = ", ".join(task.name for task in self.tasks)
        raise ValueError(f"no task '{name}'; the tasks are {names or 'none'}")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values under the names of the attributes; absent numbers are null."""
        data = asdict(self)
        return {**data, "stages": list(data["stages"]), "tasks": list(data["tasks"])}


def summarise(
    matrix: ScoreMatrix,
    joint: ScoreMatrix | None = None,
    *,
    count_base: bool = True,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Summary:
    """Compute every figure of a run; nothing raises, what is absent says why.

    Args:
        matrix: The run.
        joint: The joint run of the same tasks, for intransigence.
        count_base: Whether the untouched model counts as an earlier row in forgetting.
        draws: Number of resampled matrices behind each interval.
        level: Confidence level of each interval on its own.
        seed: The same seed gives the same intervals.

    Returns:
        The figures, task by task and on average.

    Raises:
        ValueError: if ``level`` or ``draws`` is out of range.

    Example:
        >>> from forgetless.metrics import ScoreMatrix, TaskColumn, summarise
        >>> law = TaskColumn("law", trained_in=1)
        >>> summary = summarise(ScoreMatrix.from_values(["base", "law"], [law], [[0.5], [0.75]]))
        >>> summary.average_accuracy.value
        0.75
        >>> print(summary.backward_transfer.reason)
        all tasks are trained in the last stage, so nothing came after them to change them
    """
    find = partial(estimate, draws=draws, level=level, seed=seed)

    def against_joint(formula: Callable[..., Any]) -> Figure:
        if joint is None:
            return Figure(None, None, "no joint run to compare with")
        return find(formula, matrix, joint)

    def summarise_task(name: str) -> TaskSummary:
        column = matrix.column(name)
        return TaskSummary(
            name=name,
            unit=column.unit,
            trained_in=column.trained_in,
            items=matrix.item_count(name),
            excluded=matrix.excluded_items(name),
            base=find(partial(_base, task=name), matrix),
            learned=find(partial(learned_score, task=name), matrix),
            best_earlier=find(partial(best_earlier, task=name, count_base=count_base), matrix),
            final=find(partial(_final, task=name), matrix),
            forgetting=find(partial(forgetting, task=name, count_base=count_base), matrix),
            change=find(partial(retention_change, task=name), matrix),
            intransigence=against_joint(partial(intransigence, task=name)),
        )

    return Summary(
        stages=matrix.stages,
        tasks=tuple(summarise_task(task.name) for task in matrix.tasks),
        average_accuracy=find(average_accuracy, matrix),
        learning_accuracy=find(learning_accuracy, matrix),
        backward_transfer=find(backward_transfer, matrix),
        forward_transfer=find(forward_transfer, matrix),
        average_forgetting=find(partial(average_forgetting, count_base=count_base), matrix),
        average_retention_change=find(average_retention_change, matrix),
        average_intransigence=against_joint(average_intransigence),
        count_base=count_base,
        level=level,
    )


def estimate(
    formula: Callable[..., Any],
    *runs: ScoreMatrix,
    draws: int,
    level: float,
    seed: int,
) -> Figure:
    """A figure with its interval, or the reason why there is none.

    Args:
        formula: A figure of this package.
        runs: What it is a function of; several are paired on the items that all of them scored.
        draws: Bootstrap draws.
        level: Confidence level, in (0, 1).
        seed: Seed of the draws.
    """
    try:
        runs = restrict_to_common_items(*runs) if len(runs) > 1 else runs
        value = formula(*runs)
    except NotMeasured as absent:
        return Figure(None, None, absent.message)
    try:
        limits = interval(formula, *runs, draws=draws, level=level, seed=seed)
    except NotMeasured as unsure:
        return Figure(value, None, unsure.message)
    return Figure(value, limits, None)


def _base(scores: Scores[V], task: str) -> V:
    return scores.score(0, task)


def _final(scores: Scores[V], task: str) -> V:
    return scores.score(scores.last, task)
