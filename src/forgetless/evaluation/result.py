"""What is known of one test item after scoring; one line of ``scores.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class ItemResult:
    """One test item as one model answered it.

    Attributes:
        task: Name of the task.
        item: Id of the item.
        prompt: The prompt as the model saw it.
        gold: The right answer.
        choices: The choices of a multiple-choice item.
        output: What the model produced: raw text, or the choice it picked.
        answer: The output as it was compared, after normalisation.
        score: Higher is better; None if it could not be scored.
        correct: Right or wrong, for scorers that are about that.
        readings: Other readings of the same answer, by name.
        error: Why it could not be scored.
        group: Items of one group, such as the questions on a passage, are not independent; empty
            if it stands alone, and until it stands beside the other items of its task.
    """

    task: str
    item: str
    prompt: str
    gold: str
    choices: tuple[str, ...] | None = None
    output: str | None = None
    answer: str | None = None
    score: float | None = None
    correct: bool | None = None
    readings: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    group: str = ""

    def to_line(self) -> str:
        """The result as one line of JSON."""
        fields = asdict(self)
        if not self.group:
            del fields["group"]
        return json.dumps(fields, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_line(cls, line: str) -> ItemResult:
        """What :meth:`to_line` wrote."""
        fields = json.loads(line)
        if fields["choices"] is not None:
            fields["choices"] = tuple(fields["choices"])
        return cls(**fields)
