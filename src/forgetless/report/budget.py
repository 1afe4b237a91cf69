"""The retention budget of a run: what each stage left, and whether the end keeps the budget.

A task is certified on the items of the score matrix, none of which guided the training: against the
model that had just learned it, or against the untouched one, by a one-sided 95% bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from forgetless.metrics import Cell, Evidence, TaskVerdict, Word, certify, word_for
from forgetless.metrics.frontier import frontier
from forgetless.report.data import RunResults, StageInfo
from forgetless.report.record import Record
from forgetless.report.wording import ABSENT, count, listing, number

MOST_CHOICES = 4
LEFT = {
    "held": "its end",
    "merged": "a point on the way",
    "not both": "next to nothing of what was to be learned",
}
"""What a stage left, by status."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A point that a stage could have left, on the items that guard.

    Attributes:
        origin: Where its way to the stage's end begins: ``start``, ``snapshot`` or ``end`` itself.
        alpha: How far it goes, in [0, 1].
        learned: Share of the stage's gain that it has.
        losses: By kept task, what it lost; positive = lost.
    """

    origin: str
    alpha: float
    learned: float
    losses: Mapping[str, float]

    @property
    def name(self) -> str:
        """The point in words."""
        return "the end" if self.origin == "end" else f"{self.alpha:.0%} from {self.origin}"

    def __str__(self) -> str:
        changes = ", ".join(
            f"{task} {'gained' if loss < 0 else 'lost'} {number(abs(loss))}"
            for task, loss in self.losses.items()
        )
        return f"{self.name}: {self.learned:.0%} learned, {changes}"


@dataclass(frozen=True, slots=True)
class StageBudget:
    """What came of one stage.

    Attributes:
        stage: Its title.
        status: ``held``: its end is within the budget; ``merged``: a point on the way to it is;
            ``not both``: what is within the budget has next to nothing of what was learned.
        left: The point that it left.
        given_up: By task of the stage, the score that was given up.
        gained: The score that training had gained.
        price: Largest price of losses that the controller asked.
        choices: All points that were asked.
        allowed: By kept task, the budget.
    """

    stage: str
    status: str
    left: Choice
    given_up: Mapping[str, float]
    gained: Mapping[str, float]
    price: float
    choices: tuple[Choice, ...]
    allowed: Mapping[str, float]

    @property
    def frontier(self) -> list[Choice]:
        """The nearest choices: points that no other beats in what is learned and what is lost."""

        def over(choice: Choice) -> float:
            return max(loss - self.allowed[task] for task, loss in choice.losses.items())

        return frontier(self.choices, lambda one: one.learned, over)[:MOST_CHOICES]


@dataclass(frozen=True, slots=True)
class BudgetOutcome:
    """Whether a run kept its budget.

    Attributes:
        stages: The stages in which something had to be kept.
        tasks: Each kept task at the end of the run, against the model that had learned it.
    """

    stages: tuple[StageBudget, ...]
    tasks: tuple[TaskVerdict, ...]

    @property
    def kept(self) -> bool:
        """Whether nothing is known to have been broken, and every stage learned something."""
        broken = any(word_for(task) == "not certified" for task in self.tasks)
        return not broken and all(stage.status != "not both" for stage in self.stages)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "kept": self.kept,
            "stages": [
                asdict(stage) | {"frontier": [asdict(one) for one in stage.frontier]}
                for stage in self.stages
            ],
            "tasks": [asdict(task) | {"word": word_for(task)} for task in self.tasks],
        }


def budget_outcome(run: RunResults) -> BudgetOutcome | None:
    """What came of a run's budget; None where it had none, or nothing had to be kept yet."""
    steered = [stage for stage in run.stages if stage.budget is not None and stage.done]
    if not steered:
        return None
    stages = tuple(_stage(stage, Record(stage.budget or {}, stage.name)) for stage in steered)
    last = steered[-1].index
    found: list[Evidence] = []
    for task in run.tasks:
        allowed = stages[-1].allowed.get(task.name)
        if allowed is None:
            continue
        before, after = (
            run.matrix.cells.get((row, task.name)) for row in (task.trained_in or 0, last)
        )
        if isinstance(before, Cell) and isinstance(after, Cell):  # of means nothing is certified
            groups = run.matrix.column(task.name).groups
            found.append(Evidence(task.name, task.unit, before, after, groups, budget=allowed))
    return BudgetOutcome(stages, certify(found))


def _stage(info: StageInfo, record: Record) -> StageBudget:
    prices = [check.optional_number("price") or 1.0 for check in record.records("checks")]
    return StageBudget(
        info.title,
        record.one_of("status", tuple(LEFT)),
        _choice(record.record("left")),
        _known(record, "given_up"),
        _known(record, "gained"),
        max(prices, default=1.0),
        tuple(_choice(part) for part in record.records("asked")),
        _known(record, "allowed"),
    )


def _choice(record: Record) -> Choice:
    return Choice(
        record.text("from"),
        record.optional_number("alpha", required=True) or 0.0,
        record.optional_number("learned", required=True) or 0.0,
        _known(record, "losses"),
    )


def _known(record: Record, key: str) -> dict[str, float]:
    return {name: value for name, value in record.numbers(key).items() if value is not None}


def told(outcome: BudgetOutcome) -> list[str]:
    """Sentences on what could not be had; empty where all was."""
    sentences = [
        f"stage {stage.stage}: its learning and the budget cannot both be had, and it left "
        f"{LEFT[stage.status]}. Raise the budget, protect more, or give the kept tasks more test "
        "items; the nearest choices are told beside the budget"
        for stage in outcome.stages
        if stage.status == "not both"
    ]
    sentences += [
        f"stage {stage.stage}: gained nothing on the items that guard"
        for stage in outcome.stages
        if stage.status != "not both" and not any(gain > 0 for gain in stage.gained.values())
    ]
    broken = [task.task for task in outcome.tasks if word_for(task) == "not certified"]
    if broken:
        sentences.append(f"the budget of {listing(broken)} was not kept on items that certify")
    return sentences


def shortfall(outcome: BudgetOutcome) -> str:
    """Why a budget is not kept, in a line; empty where it is."""
    broken = [task.task for task in outcome.tasks if word_for(task) == "not certified"]
    idle = [stage.stage for stage in outcome.stages if stage.status == "not both"]
    parts = [f"the budget of {listing(broken)} was not kept"] if broken else []
    if idle:
        parts.append(f"within the budget next to nothing was learned in stage {listing(idle)}")
    return "; ".join(parts)


Table = tuple[Sequence[str], list[list[str]]]
"""Names of the columns, and the lines."""

TASK_HEAD = ("kept task", "budget", "learned", "end", "loss", "at most", "items", "verdict")
STAGE_HEAD = ("stage", "left", "of its gain", "given up", "price")


def task_rows(outcome: BudgetOutcome) -> list[list[str]]:
    """One line per kept task, under ``TASK_HEAD``."""
    rows = []
    for task in outcome.tasks:
        limits = task.change.interval
        rows.append(
            [
                task.task,
                number(task.budget),
                _value(task.before.value),
                _value(task.after.value),
                ABSENT if task.change.value is None else number(-task.change.value, signed=True),
                ABSENT if limits is None else number(-limits.low, signed=True),
                str(task.items),
                word_for(task)
                + (
                    f", needs about {count(task.items_needed, 'item')}" if task.items_needed else ""
                ),
            ]
        )
    return rows


def stage_rows(outcome: BudgetOutcome) -> list[list[str]]:
    """One line per stage, under ``STAGE_HEAD``."""
    return [
        [
            stage.stage,
            stage.left.name,
            f"{stage.left.learned:.0%}",
            ", ".join(f"{task} {number(value)}" for task, value in stage.given_up.items()),
            f"{number(stage.price)}×",
        ]
        for stage in outcome.stages
    ]


def budget_tables(outcome: BudgetOutcome) -> list[Table]:
    """What is shown of a budget: by kept task, then by stage; those that have a line."""
    both: list[Table] = [(TASK_HEAD, task_rows(outcome)), (STAGE_HEAD, stage_rows(outcome))]
    return [(head, rows) for head, rows in both if rows]


def choice_lines(outcome: BudgetOutcome) -> list[str]:
    """For each stage that did not leave its end, the nearest choices on the items that guard."""
    return [
        f"{stage.stage} could have left, on the items that guard: "
        f"{'; '.join(map(str, stage.frontier))}"
        for stage in outcome.stages
        if stage.status != "held"
    ]


def headline(outcome: BudgetOutcome) -> str:
    """The verdicts, counted; what is certified of all at once is said to be so."""
    words: Sequence[Word] = [word_for(task) for task in outcome.tasks]
    if words.count("certified") == len(words) > 1:
        return f"{len(words)} certified, and so all at once, with 95% confidence"
    told = {"certified": "certified, each for itself"} if words.count("certified") > 1 else {}
    parts = [
        f"{words.count(word)} {told.get(word, word)}" for word in get_args(Word) if word in words
    ]
    return ", ".join(parts) or "nothing to certify yet"


def _value(value: float | None) -> str:
    return ABSENT if value is None else number(value)
