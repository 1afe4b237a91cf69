"""What an audit found: plain data that the report, the gate and ``audit.json`` are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Literal

from forgetless.metrics import Figure, TaskVerdict, Unit

GateStatus = Literal["kept", "broken", "inconclusive", "failed"]

EXIT_CODES: Mapping[GateStatus, int] = {"kept": 0, "failed": 1, "broken": 3, "inconclusive": 4}
"""What ``forgetless audit`` ends with; 2 is wrong usage."""


@dataclass(frozen=True, slots=True)
class SubjectInfo:
    """One model that was asked.

    Attributes:
        label: Short name in tables, unique in the audit; the first is the before model's.
        name: As the user named it: hub name, path, ``openai:NAME``.
        kind: ``hub``, ``folder``, ``adapter``, ``gguf``, ``object``, ``endpoint`` or ``results``.
        identity: Hash of all that decides its answers; a re-used checkpoint path has another one.
        details: What else the report shows, e.g. dtype, device, endpoint; never a key.
        notes: What the user should know, e.g. that choices were asked by generation.
    """

    label: str
    name: str
    kind: str
    identity: str
    details: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AuditTask:
    """One task that was asked.

    Attributes:
        name: Its name.
        unit: Unit of its scores.
        scorer: How an item is scored, e.g. ``multiple_choice``.
        items: Number of test items.
        area: What it says something about, e.g. ``general ability``; empty for a user's own task.
        description: One line for the report.
        warnings: What the user should know about its data.
        conditions: How it was put to the models, the same for all: name of a part, such as
            ``prompts`` or ``chat template``, to its value or hash.
        source: What its items were read from, as it was named; empty for a task of another tool,
            None if that is not known.
        place: Hash of the path to that file or folder from where the audit is written: it tells
            namesakes apart and shows no path of a machine; None if there is none.
    """

    name: str
    unit: Unit
    scorer: str
    items: int
    area: str = ""
    description: str = ""
    warnings: tuple[str, ...] = ()
    conditions: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class AnsweredItem:
    """One test item, and how every model answered it.

    Attributes:
        task: Name of the task.
        item: Id of the item.
        prompt: The prompt as the before model saw it.
        gold: The right answer.
        choices: The choices of a multiple-choice item.
        group: Items of one group (a passage, a template) are not independent; empty if alone.
        outputs: What each model said, by label; None where it could not be asked.
        scores: Score of each, by label; absent where it could not be scored.
        errors: Why not, by label.
        level: Of a graded task, the level it is of; empty in any other.
    """

    task: str
    item: str
    prompt: str
    gold: str
    choices: tuple[str, ...] | None
    group: str
    outputs: Mapping[str, str | None]
    scores: Mapping[str, float]
    errors: Mapping[str, str]
    level: str = ""


@dataclass(frozen=True, slots=True)
class AreaChange:
    """Mean change over the tasks of one area, as in TRACE (Wang et al. 2023, section 3).

    Attributes:
        area: ``general ability``, ``instruction following`` or ``safety``.
        tasks: Names of its tasks; those that failed are left out.
        change: Mean over its tasks of after less before; negative = lost.
    """

    area: str
    tasks: tuple[str, ...]
    change: Figure


@dataclass(frozen=True, slots=True)
class Drift:
    """How far a model's predictions moved on prompts of the before model's tasks.

    Attributes:
        task: Name of the task whose prompts were used.
        tokens: Number of positions it is a mean over.
        kl: Mean KL(before || after) over the full vocabulary, nats per token, >= 0.
    """

    task: str
    tokens: int
    kl: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One model after against the model before.

    Attributes:
        after: Label of the model after.
        verdicts: Task by task, in the order of the audit.
        areas: Aggregates; empty if no task belongs to one.
        drift: Drift measures; empty if not asked for.
        gate: Whether the budget was kept.
        reason: Why, in one sentence.
    """

    after: str
    verdicts: tuple[TaskVerdict, ...]
    areas: tuple[AreaChange, ...]
    drift: tuple[Drift, ...]
    gate: GateStatus
    reason: str

    def verdict(self, task: str) -> TaskVerdict:
        """The verdict on one task.

        Raises:
            KeyError: if there is no such task.
        """
        return {verdict.task: verdict for verdict in self.verdicts}[task]


@dataclass(frozen=True, slots=True)
class Cost:
    """What it took to ask one model.

    Attributes:
        seconds: Wall time.
        cpu_seconds: CPU time of this process.
        asked: Items that the model was asked.
        stored: Items whose answers were in the store already.
        requests: Requests sent to an endpoint, retries included; 0 for a local model.
        input_tokens: Tokens read by an endpoint, where it says so.
        output_tokens: Tokens written by an endpoint, where it says so.
    """

    seconds: float
    cpu_seconds: float
    asked: int
    stored: int
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def plus(self, other: Cost) -> Cost:
        """Both together."""
        return Cost(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


NOTHING_SPENT = Cost(seconds=0.0, cpu_seconds=0.0, asked=0, stored=0)


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found.

    Attributes:
        before: The model before.
        afters: The models after, in the order given.
        tasks: What was asked.
        budget: Largest loss accepted on each task, as a share, e.g. 0.05 for five points.
        level: Confidence level of each interval on its own.
        comparisons: One per model after.
        items: Every item with all its answers, in the order of tasks and items.
        costs: By label, the judge's under ``judge``.
        versions: Of the packages that decide answers.
        created: When, in UTC, as ISO 8601.
        judge: Who graded answers in free text; None if nobody did.
        price: What the endpoints' tokens cost, in the currency of the prices given; None if none
            were given, or one of the endpoints does not say how many tokens there were.
    """

    before: SubjectInfo
    afters: tuple[SubjectInfo, ...]
    tasks: tuple[AuditTask, ...]
    budget: float
    level: float
    comparisons: tuple[Comparison, ...]
    items: tuple[AnsweredItem, ...]
    costs: Mapping[str, Cost]
    versions: Mapping[str, str]
    created: str
    judge: SubjectInfo | None = None
    price: float | None = None

    @property
    def subjects(self) -> tuple[SubjectInfo, ...]:
        """All models, the one before first."""
        return (self.before, *self.afters)

    @property
    def gate(self) -> GateStatus:
        """The worst of the comparisons: failed, broken, inconclusive, kept."""
        found = {comparison.gate for comparison in self.comparisons}
        order: tuple[GateStatus, ...] = ("failed", "broken", "inconclusive", "kept")
        return next(status for status in order if status in found)

    @property
    def exit_code(self) -> int:
        """What the command line ends with."""
        return EXIT_CODES[self.gate]
