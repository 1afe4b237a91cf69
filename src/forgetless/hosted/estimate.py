"""What a hosted plan will take, before anything is sent: rows, tokens and, with a table, a price.

The training files are the very ones that would be sent.  Tokens are those of ``hosted.tokenizer``,
or estimated; scoring counts with the most requests, and the most tokens of each, that it may take.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from forgetless.endpoints.chat import Message
from forgetless.endpoints.ways import Way, asked
from forgetless.errors import DataError
from forgetless.evaluation.store import open_questions
from forgetless.hosted.tokens import TokenCounter
from forgetless.hosted.training_file import TrainingFile, training_file
from forgetless.methods.compose import Compose
from forgetless.methods.stage import Stage
from forgetless.plan import Plan
from forgetless.preparation import Experiment, prepare
from forgetless.tasks.render import Style
from forgetless.tasks.task import Task

MILLION = 1e6


@dataclass(frozen=True)
class StageEstimate:
    """One job: lines of its file, and tokens of all epochs; what it costs, None without prices."""

    name: str
    rows: int
    tokens: int
    replayed_tokens: int
    megabytes: float
    price: float | None


@dataclass(frozen=True)
class TaskCount:
    """One task: rows to train on, items to test, and the most tokens of asking them once."""

    name: str
    train_rows: int
    test_items: int
    score: str
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class HostedEstimate:
    """What a hosted plan will take.

    Attributes:
        model: The model, and where it is.
        method: The composition of methods.
        exact: Whether tokens were counted by a tokenizer.
        epochs: How often a job goes through its file.
        tasks: Rows and items of each task.
        ask: The same of the plan's open questions.
        stages: The jobs.
        scored: How often everything is asked: before the first job and after each.
        training_price: Price of all jobs; None without prices.
        scoring_price: Price of all asking at the most, reasoning aside, the untouched model's at
            the price of a fine-tuned one; None without prices.
        warnings: What the user should know about the data.
    """

    model: str
    method: str
    exact: bool
    epochs: int
    tasks: tuple[TaskCount, ...]
    ask: TaskCount
    stages: tuple[StageEstimate, ...]
    scored: int
    training_price: float | None
    scoring_price: float | None
    warnings: tuple[str, ...]

    @property
    def price(self) -> float | None:
        """Training and scoring together."""
        if self.training_price is None or self.scoring_price is None:
            return None
        return self.training_price + self.scoring_price

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self) | {"price": self.price}


def training_files(
    experiment: Experiment, counter: TokenCounter
) -> Iterator[tuple[Stage, TrainingFile]]:
    """The training file of every stage, checked, by methods of its own.

    Raises:
        DataError: for a row or a file that the provider would not take.
    """
    assert experiment.plan.hosted is not None
    methods = Compose.from_plan(experiment.plan.methods)
    for stage in experiment.stages:
        yield stage, training_file(stage, methods, counter, experiment.plan.hosted)
        methods.keep_rows(stage)


def estimate_hosted(plan: Plan) -> HostedEstimate:
    """Validate a hosted plan as a whole and work out what it will take; nothing is sent.

    Raises:
        UsageError: for whatever would stop a run with this plan before its first job.
    """
    experiment = prepare(plan)
    hosted = experiment.plan.hosted
    assert hosted is not None
    counter = TokenCounter.named(hosted.tokenizer)
    epochs = int(experiment.plan.training.epochs)
    prices = hosted.prices
    stages = tuple(
        StageEstimate(
            stage.name,
            len(file),
            file.tokens * epochs,
            file.replayed_tokens * epochs,
            file.size / MILLION,
            None if prices is None else file.tokens * epochs * prices.training / MILLION,
        )
        for stage, file in training_files(experiment, counter)
    )
    tasks = tuple(_count(task, counter) for task in experiment.tasks)
    ask = _count(open_questions(experiment.plan.ask), counter)
    scored = 1 + len(stages)
    training_price = scoring_price = None
    if prices is not None:
        training_price = sum(stage.price or 0.0 for stage in stages)
        read, written = (
            scored * sum(getattr(task, f"{way}_tokens") for task in (*tasks, ask))
            for way in ("input", "output")
        )
        scoring_price = (read * prices.input + written * prices.output) / MILLION
    return HostedEstimate(
        model=f"{experiment.plan.model.name} at {hosted.base_url}",
        method=experiment.methods.label,
        exact=counter.exact,
        epochs=epochs,
        tasks=tasks,
        ask=ask,
        stages=stages,
        scored=scored,
        training_price=training_price,
        scoring_price=scoring_price,
        warnings=experiment.warnings,
    )


def _count(task: Task, counter: TokenCounter) -> TaskCount:
    """The most that asking every item once takes, however the server turns out to be asked."""
    taken = [_taken(task, way, counter) for way in _ways(task)]
    read, written = (max(tokens) for tokens in zip(*taken, strict=True))
    return TaskCount(task.name, len(task.train), len(task.test), task.config.score, read, written)


def _ways(task: Task) -> list[Way]:
    """The ways in which a server with chat may be asked, as :func:`way_for` chooses."""
    style: Style = "plain" if task.config.render == "plain" else "chat"
    echo = Way("echo", "plain", chat=False)
    if task.config.score == "nll":
        return [echo]
    if task.config.score != "multiple_choice":
        return [Way("generation", style, chat=True)]
    letters = Way("letters", style, chat=True)
    return [letters, echo] if style == "plain" else [letters]


def _taken(task: Task, way: Way, counter: TokenCounter) -> tuple[int, int]:
    """Tokens read and written, at the most, by asking every item in one way.

    A choice by letter may take two requests: one for the letter as the first token, and where there
    is none among the likeliest, one for an answer.  An echo takes one for each choice, with all of
    the prompt.  Items that cannot be asked cost none.
    """
    answer = task.config.max_new_tokens
    limits = {"generation": [answer], "letters": [1, answer], "echo": [1]}[way.mode]
    read = written = 0
    for row in task.test:
        try:
            item = asked(task, row, way)
        except DataError:
            continue
        prompts: list[Sequence[Message]] = [item.messages]
        if way.mode == "echo":
            prompts = [[{"role": "user", "content": item.text + text}] for text in item.texts]
        read += sum(map(counter.count, prompts)) * len(limits)
        written += sum(limits) * len(prompts)
    return read, written
