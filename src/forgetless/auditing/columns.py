"""All that one model answered in an audit, wherever the answers come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from forgetless.auditing.asking import Answers
from forgetless.auditing.result import Cost, SubjectInfo
from forgetless.evaluation.result import ItemResult
from forgetless.metrics import Cell, by_reading


@dataclass(frozen=True)
class Column:
    """One model's answers.

    Attributes:
        subject: The model.
        answers: By task and item.
        cost: What asking took.
        others: By task, its answers to the items asked in other ways; the model before only.
        how: By task, what was changed in the other ways of asking.
    """

    subject: SubjectInfo
    answers: Answers
    cost: Cost
    others: Mapping[str, Sequence[Mapping[str, ItemResult]]] = field(default_factory=dict)
    how: Mapping[str, str] = field(default_factory=dict)

    def cell(self, task: str) -> Cell:
        """The scores of one task."""
        return as_cell(self.answers[task])

    def readings(self, task: str) -> dict[str, dict[str, float]]:
        """Reading to item to value; items without it are absent."""
        return by_reading({item: r.readings for item, r in self.answers[task].items()})


def as_cell(results: Mapping[str, ItemResult]) -> Cell:
    """Item results as a cell of the score matrix."""
    return Cell(
        {item: result.score for item, result in results.items() if result.score is not None},
        {item: result.error for item, result in results.items() if result.error is not None},
    )
