"""The saved results of runs, as plain frozen records: what every form of the report is made from.

Nothing here computes; :mod:`forgetless.report.run_folder` fills these records from disk, and
:mod:`forgetless.report.analysis` turns them into figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from forgetless.metrics import ScoreMatrix, Unit

RunState = Literal["finished", "running", "failed"]

JOINT = "joint"
SEQUENTIAL = "sequential"
TO_COME = "to come"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The untouched model that every stage started from.

    Attributes:
        name: Hub name or folder.
        parameters: Number of weights; ``None`` where a provider keeps them.
        dtype: Number format of the weights; empty where a provider keeps them.
        sha256: Hash of the weights, where it was taken.
        hub: Its name on the hub, if it is from there.
        revision: The commit that was taken from the hub.
        licence: Its licence as its own card names it, where there is one.
    """

    name: str
    parameters: int | None
    dtype: str
    sha256: str | None
    hub: str | None = None
    revision: str | None = None
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """One column of the score matrix.

    Attributes:
        name: Unique within the run.
        description: One line for a person.
        unit: ``accuracy`` (0 to 1) or ``nats`` (log-likelihood per token, at most 0).
        scorer: How an answer becomes a score.
        reading: Which of the readings taken of each item is its score.
        trained_in: Stage in which it was learned; ``None`` if it is only tested.
        train_rows: Rows to learn from.
        test_items: Items to be asked, in every stage.
        rendering: How an item was put to the model.
        warnings: What to mind in its scores.
        train_sha256: Hash of the rows to learn from; ``None`` in runs that did not note it.
        test_sha256: Hash of the items to be asked, and of the worked examples before them.
        licence: Licence of the rows to learn from, where it is known.
        graded: Whether its items are of several levels, with which their ids begin.
    """

    name: str
    description: str
    unit: Unit
    scorer: str
    reading: str
    trained_in: int | None
    train_rows: int
    test_items: int
    rendering: str
    warnings: tuple[str, ...]
    train_sha256: str | None = None
    test_sha256: str | None = None
    licence: str | None = None
    graded: bool = False


@dataclass(frozen=True, slots=True)
class Training:
    """What the training of one stage took; ``None`` where it was not measured."""

    steps: float | None
    epochs: float | None
    rows: float | None
    tokens: float | None
    replayed_tokens: float | None
    replay_share: float | None
    learning_rate: float | None
    batch_size: float | None
    first_loss: float | None
    final_loss: float | None
    seconds: float | None
    cpu_seconds: float | None
    peak_memory_mb: float | None


@dataclass(frozen=True, slots=True)
class Scoring:
    """What the scoring after one stage took."""

    seconds: float | None
    cpu_seconds: float | None
    items: int
    errors: int


@dataclass(frozen=True, slots=True)
class StageInfo:
    """One row of the score matrix.

    Attributes:
        index: 0 for the untouched model.
        name: Its folder, e.g. ``1-medical``.
        tasks: What was trained in it.
        state: ``done``, or how far it got.
        training: What training took; ``None`` for stage 0.
        shared_from: Folder of the run whose identical work was reused.
        scoring: What scoring took, where it was done.
        budget: What came of the plan's budget in it; ``None`` where nothing had to be kept.
        fingerprint: Hash of all that decides its weights.
        hosted: The provider's name of the model after it; ``None`` for one on this machine.
    """

    index: int
    name: str
    tasks: tuple[str, ...]
    state: str
    training: Training | None
    shared_from: str | None
    scoring: Scoring | None
    budget: Mapping[str, Any] | None = None
    fingerprint: str | None = None
    hosted: str | None = None

    @property
    def done(self) -> bool:
        """Whether its results are complete and may be read."""
        return self.state == "done"

    @property
    def title(self) -> str:
        """The name without its number: ``1-medical`` is ``medical``."""
        head, dash, tail = self.name.partition("-")
        return tail if dash and tail and head.isdigit() else self.name


@dataclass(frozen=True, slots=True)
class ItemScore:
    """One test item as answered after one stage; exactly one of ``score`` and ``error`` is set.

    Attributes:
        task: The task it belongs to.
        item: Its id, unique within the task; results are paired by it.
        prompt: What the model saw.
        gold: The right answer.
        choices: Possible answers of a multiple-choice item.
        output: Raw text of the answer, or the choice taken.
        answer: The answer after normalisation.
        score: In the unit of the task, higher is better.
        correct: Right or wrong; ``None`` where the task has no such notion.
        readings: Every reading taken, by name; one of them is the score.
        error: Why it could not be scored.
        group: What it shares with others, such as a passage or all that it asks; empty if it stands
            alone.
    """

    task: str
    item: str
    prompt: str
    gold: str
    choices: tuple[str, ...] | None
    output: str | None
    answer: str | None
    score: float | None
    correct: bool | None
    readings: Mapping[str, float | None]
    error: str | None
    group: str = ""


@dataclass(frozen=True, slots=True)
class FreeAnswer:
    """What the model said to a question that is shown but not scored."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class RunResults:
    """Everything that one run left on disk; one arm of a report.

    Attributes:
        folder: Where it was read from.
        name: Name of the run.
        label: Its methods, e.g. ``sequential`` or ``replay + lora``.
        state: How the run ended, if it did.
        model: The model it started from.
        seed: Seed of everything drawn at random.
        created: When it was started, ISO 8601.
        finished: When it ended, ISO 8601.
        versions: Version of every package that matters.
        machine: Where it ran.
        plan_sha256: Hash of the resolved plan.
        plan: Text of the resolved plan; ``None`` if the folder has none.
        tasks: The columns.
        stages: The rows, 0 first.
        scores: Per stage, the items of all tasks; ``None`` for a stage that is not done.
        answers: Per stage, the free answers; empty where none were asked.
        warnings: What the run warned of, and what reading it brought to light.
        matrix: The score matrix, built from ``scores``.
    """

    folder: Path
    name: str
    label: str
    state: RunState
    model: ModelInfo
    seed: int
    created: str
    finished: str | None
    versions: Mapping[str, str]
    machine: Mapping[str, str]
    plan_sha256: str | None
    plan: str | None
    tasks: tuple[TaskInfo, ...]
    stages: tuple[StageInfo, ...]
    scores: tuple[tuple[ItemScore, ...] | None, ...]
    answers: tuple[tuple[FreeAnswer, ...], ...]
    warnings: tuple[str, ...]
    matrix: ScoreMatrix

    def items(self, row: int, task: str) -> dict[str, ItemScore]:
        """The items of one task after one stage, by id; none where the stage is not done."""
        return {item.item: item for item in self.scores[row] or () if item.task == task}

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods in the label: ``replay + lora`` is ``("replay", "lora")``."""
        return tuple(part.strip() for part in self.label.split("+"))

    @property
    def is_joint(self) -> bool:
        """Whether all tasks were trained at once: the upper bound, not a sequence."""
        return JOINT in self.methods

    @property
    def is_sequential(self) -> bool:
        """Whether no protection was used: the lower bound."""
        return SEQUENTIAL in self.methods
