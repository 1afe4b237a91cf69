"""A task as it will be trained and tested: sources read, test items held out, settings resolved."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, Literal

from forgetless.errors import DataError, ModelError
from forgetless.plan import BUNDLED, Plan, TaskConfig
from forgetless.tasks.bundled import bundled_task
from forgetless.tasks.held_out import hold_out
from forgetless.tasks.letters import Lettered, lettered
from forgetless.tasks.render import Renderer, Style
from forgetless.tasks.row import Row
from forgetless.tasks.source import Selected, read_source
from forgetless.tasks.twins import with_twins

SHORT_ANSWER = 5  # words; up to this, an answer is scored by exact match unless the plan says how


@dataclass(frozen=True)
class Task:
    """What is learned and tested.

    Attributes:
        config: The task's settings with nothing left at ``auto`` but ``render``, which needs the
            tokenizer.
        train: Training rows; empty for a task that is only tested.
        test: Test items.
        shots: Worked examples for test items; training rows where there are enough, and never
            test items.
        trained_in: Number of the stage that trains it, from 1; None if only tested.
        description: One line for the report.
        warnings: What the user should know about its data.
        version: Of a bundled task's items; empty otherwise.
    """

    config: TaskConfig
    train: Sequence[Row]
    test: Sequence[Row]
    shots: tuple[Row, ...] = ()
    trained_in: int | None = None
    description: str = ""
    warnings: tuple[str, ...] = ()
    version: str = ""

    @property
    def name(self) -> str:
        """The task's name, unique in the plan."""
        return self.config.name

    @property
    def unit(self) -> Literal["accuracy", "nats"]:
        """``nats`` for log-likelihoods, else ``accuracy``."""
        return "nats" if self.config.score == "nll" else "accuracy"

    def renderer(self, tokenizer: Any) -> Renderer:
        """How this task's rows become tokens for a model."""
        return Renderer(tokenizer, self.style(tokenizer), self.config.system, self.shots)

    def style(self, tokenizer: Any) -> Style:
        """Chat where asked for or where the model has a template; plain texts stay plain.

        Raises:
            ModelError: for conversations of several exchanges, if the model has no template.
        """
        if self.config.render != "auto":
            return self.config.render
        if tokenizer.chat_template:
            return "chat" if self.test[0].prompt else "plain"
        for row in self.test:
            if any(turn.role != "user" for turn in row.prompt[1:]):
                raise ModelError(
                    f"{tokenizer.name_or_path or 'the tokenizer'}: has no chat template, but item "
                    f"{row.id!r} of task {self.name!r} is a chat of {len(row.prompt) + 1} messages",
                    fix="use an instruction-tuned model, or set  render: plain  for the task",
                )
        return "plain"

    @cached_property
    def groups(self) -> dict[str, str]:
        """Test item to its group, of those that do not stand alone; see :func:`with_twins`."""
        return with_twins(
            {row.id: row.group for row in self.test},
            {row.id: _item_hash(row) for row in self.test},
        )

    @property
    def chance(self) -> dict[str, float]:
        """Test item to the score of guessing; empty where one cannot be right by guessing."""
        if self.config.score != "multiple_choice":
            return {}
        return {row.id: 1 / len(row.choices) for row in self.test}

    @property
    def levels(self) -> dict[str, str]:
        """Test item of a graded built-in task to its level, with which its id begins."""
        if not (self.config.test or "").startswith(BUNDLED):
            return {}
        return {row.id: row.id.split("/")[0] for row in self.test if row.id.startswith("level")}

    def train_hash(self) -> str:
        """SHA-256 over the training rows, in order."""
        return self._hashes["train"]

    def test_hash(self) -> str:
        """SHA-256 over worked examples, test items and their version if they have one."""
        return self._hashes["test"]

    @cached_property
    def _hashes(self) -> dict[str, str]:
        """Worked out once: it reads every row."""
        test = _hash([*self.shots, *self.test], self.version)
        return {"train": _hash(self.train), "test": test}


def load_tasks(plan: Plan) -> tuple[Task, ...]:
    """Read every task of a plan, the trained ones first, and look for test rows seen in training.

    Raises:
        DataError: for a source that cannot be used, or a ``memory`` of what is not taught; nothing
            is downloaded or loaded but data.
    """
    tasks = [
        _load(config, plan.training.split_seed, number)
        for number, config in enumerate(plan.sequence, start=1)
    ]
    tasks += [_load(config, plan.training.split_seed, None) for config in plan.test_only]
    return tuple(_with_overlap_warnings(tasks))


def load_task(config: TaskConfig, seed: int = 0) -> Task:
    """Read a single task that is only tested.

    Args:
        config: The task.
        seed: Decides which rows are held out where it names no test items.

    Raises:
        DataError: for a source that cannot be used.
    """
    return _load(config.named(), seed, None)


def _load(config: TaskConfig, seed: int, trained_in: int | None) -> Task:
    config, description, version = _with_bundled_defaults(config)
    train: Sequence[Row] = ()
    warnings: tuple[str, ...] = ()
    if config.train is not None:
        train = read_source(config.train, fields=config.fields, split=_split(config.train, config))
    test_source = config.test
    if test_source is None and config.train is not None and config.train.startswith(BUNDLED):
        test_source = config.train
    if test_source is not None:
        split = "test" if test_source.startswith(BUNDLED) else config.test_split
        test = read_source(test_source, fields=config.fields, split=split)
    elif config.memory:
        test = train[: config.train_limit]
    else:
        train, test, warnings = hold_out(config, train, seed)
    if trained_in is None:
        train = ()
    shots, test = _worked_examples(config, train, test)
    if config.train_limit is not None:
        train = train[: config.train_limit]
    if config.limit is not None:
        test = test[: config.limit]
    _check_ids(config.name, test)
    config = config.model_copy(update={"score": _scorer(config, test)})
    if config.choose_by == "letter" and config.score == "multiple_choice":
        train, shots = Lettered(train), tuple(Lettered(shots))
        test = [lettered(row) for row in test]
    return Task(config, train, test, shots, trained_in, description, warnings, version)


def _split(source: str, config: TaskConfig) -> str:
    return "train" if source.startswith(BUNDLED) else config.split


def _with_bundled_defaults(config: TaskConfig) -> tuple[TaskConfig, str, str]:
    """Settings that a bundled task brings, where the plan does not say otherwise.

    Returns:
        The settings, the task's description, and the version of its items.
    """
    source = config.train or config.test or ""
    if not source.startswith(BUNDLED):
        return config, "", ""
    bundled = bundled_task(source.removeprefix(BUNDLED))
    unset = {
        key: value for key, value in bundled.defaults.items() if key not in config.model_fields_set
    }
    version = bundled.version
    described = f"{bundled.description} (version {version})" if version else bundled.description
    return config.model_copy(update=unset), described, version


def _worked_examples(
    config: TaskConfig, train: Sequence[Row], test: Sequence[Row]
) -> tuple[tuple[Row, ...], Sequence[Row]]:
    """Worked examples from the training rows, or else from the end of the test items.

    An item that asks what an example asks, or that is of its group, is no longer asked.
    """
    if not config.shots:
        return (), test
    asked = {exchange_hash(row) for row in test}
    shots = tuple(islice((row for row in train if exchange_hash(row) not in asked), config.shots))
    if len(shots) == config.shots:
        return shots, test
    split = max(0, len(test) - config.shots)
    shots = tuple(test[split:])
    shown = {exchange_hash(row) for row in shots}
    groups = {row.group for row in shots if row.group}
    left = [
        index
        for index, row in enumerate(test[:split])
        if exchange_hash(row) not in shown and row.group not in groups
    ]
    if not left:
        raise DataError(
            f"task {config.name!r}: {config.shots} worked examples asked for, but of {len(test)} "
            "test items to take them from none would be left",
            fix="lower shots, or add items",
        )
    return shots, Selected(test, left)


def _check_ids(name: str, test: Sequence[Row]) -> None:
    seen: set[str] = set()
    for row in test:
        if row.id in seen:
            raise DataError(
                f"task {name!r}: two test items have the id {row.id!r}; "
                "results are paired by id, so each needs its own",
                fix="correct the ids, or leave the id column out",
            )
        seen.add(row.id)


def _scorer(config: TaskConfig, test: Sequence[Row]) -> str:
    """The scorer asked for, or the one that fits the items; refused if it cannot score them."""
    first = test[0]
    if config.score == "auto":
        if first.rules:
            return "rules"
        if first.choices:
            return "multiple_choice"
        if not first.prompt:
            return "nll"
        words = sorted(len(row.answer.split()) for row in test)
        return "exact_match" if words[len(words) // 2] <= SHORT_ANSWER else "token_f1"
    if config.score == "multiple_choice" and not first.choices:
        raise DataError(
            f"task {config.name!r}: score is multiple_choice, but its items have no choices",
            fix="choose exact_match, contains, token_f1 or nll",
        )
    if config.score == "rules" and not all(row.rules for row in test):
        raise DataError(
            f"task {config.name!r}: score is rules, but it has items that no rule checks",
            fix="choose exact_match, contains, token_f1 or nll",
        )
    if not first.prompt and config.score != "nll":
        raise DataError(
            f"task {config.name!r}: score is {config.score}, but plain text asks nothing",
            fix="score: nll",
        )
    return config.score


def tested(tasks: Sequence[Task]) -> frozenset[bytes]:
    """Hashes of all test items."""
    return frozenset(exchange_hash(row) for task in tasks for row in task.test)


def held_back(tasks: Sequence[Task]) -> frozenset[bytes]:
    """Hashes of what no stage may rehearse: all test items, but those that a task says it taught.

    A row that another task tests without teaching it stays held back.
    """
    found: set[bytes] = set()
    for task in tasks:
        taught = {exchange_hash(row) for row in task.train} if task.config.memory else set()
        found.update({exchange_hash(row) for row in task.test} - taught)
    return frozenset(found)


def _with_overlap_warnings(tasks: Sequence[Task]) -> list[Task]:
    """Count test items that also occur among the training rows of any task.

    Raises:
        DataError: if none does of a task that says so.
    """
    asked = tested(tasks)
    taught: set[bytes] = set()
    for task in tasks:  # reads every row, so a malformed one is found before any training
        taught.update(found for row in task.train if (found := exchange_hash(row)) in asked)
    checked = []
    for task in tasks:
        shared = sum(exchange_hash(row) in taught for row in task.test)
        warning = (
            f"{shared} of {len(task.test)} test items also occur in training: its score shows "
            "memory, not skill"
        )
        if task.config.memory:
            own = {exchange_hash(row) for row in task.train}
            if own.isdisjoint(map(exchange_hash, task.test)):
                raise DataError(
                    f"task {task.name!r}: memory says that its test asks taught rows, but none of "
                    f"its {len(task.test)} test items is among its training rows",
                    fix="leave memory out: a question in other words may be rehearsed without it",
                )
            warning += ", and rehearsal may draw them, as  memory  allows"
        checked.append(replace(task, warnings=(*task.warnings, warning)) if shared else task)
    return checked


def exchange_hash(row: Row) -> bytes:
    """Hash of the last question and its answer, whatever their case, spacing and letters."""
    row = row.spelt or row
    asked = row.prompt[-1].content if row.prompt else ""
    return _hash_of_words(asked, row.answer)


def _item_hash(row: Row) -> str:
    """Hash of all that an item asks and its answer, whatever their case, spacing and letters.

    Unlike :func:`exchange_hash`, which the same last question in two conversations shares.
    """
    row = row.spelt or row
    asked = [turn.content for turn in row.prompt]
    return _hash_of_words(*asked, row.answer, *sorted(map(str.lower, row.choices))).hex()


def _hash_of_words(*texts: str) -> bytes:
    text = "\x00".join(" ".join(part.lower().split()) for part in texts)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def exchange_hashes(row: Row) -> list[bytes]:
    """Hashes of all that a row teaches: each earlier reply with its question, and last its own."""
    earlier = [
        Row(row.id, row.prompt[:number], turn.content)
        for number, turn in enumerate(row.prompt)
        if turn.role == "assistant"
    ]
    return [exchange_hash(each) for each in (*earlier, row)]


def _hash(rows: Sequence[Row], version: str = "") -> str:
    digest = hashlib.sha256(f"version {version}\n".encode() if version else b"")
    for row in rows:
        digest.update(f"{row.id}\x00{row.content_hash()}\n".encode())
    return digest.hexdigest()
