"""What was read from another tool's results, as plain data in our own words."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from forgetless.evaluation.result import ItemResult
from forgetless.evaluation.subject import Conditions
from forgetless.metrics import Unit

Format = Literal["lm_eval", "inspect"]

STRICT, LENIENT = "strict", "lenient"


@dataclass(frozen=True)
class ImportedTask:
    """One task of one run of another tool.

    Attributes:
        name: Its name there.
        unit: Unit of its scores.
        scorer: ``multiple_choice``, or the metric that scores its answers.
        items: Its items, each known by its content; an item without a usable score has an error.
        conditions: How it was put to the model; two runs are comparable if these are equal.
        prints: Item to the hashes of what must be the same on both sides, such as ``prompts``
            and ``targets``.
        groups: Item to its group, where items are not independent: the epochs of one sample, items
            that ask the same.
        levels: Item to its level, where they are graded; the files of other tools name none.
        warnings: What the user should know about it.
    """

    name: str
    unit: Unit
    scorer: str
    items: tuple[ItemResult, ...]
    conditions: Conditions
    prints: Mapping[str, Mapping[str, str]]
    groups: Mapping[str, str] = field(default_factory=dict)
    levels: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def readings(self) -> tuple[str, ...]:
        """Names of the readings that its items have, in order."""
        return tuple(dict.fromkeys(name for item in self.items for name in item.readings))


@dataclass(frozen=True)
class Imported:
    """The newest results of a folder.

    Attributes:
        format: Which tool wrote them.
        folder: Where they were found.
        model: The model as that tool names it.
        identity: Hash of the files read.
        date: When the newest of them was made, as the tool writes it.
        tasks: The tasks that can be compared, in the order of their names.
        left_out: Names of the tasks that cannot, each with the reason.
        notes: What the user should know, e.g. that an older run was passed over.
        versions: Of the packages that made them, as far as they are told.
    """

    format: Format
    folder: str
    model: str
    identity: str
    date: str
    tasks: tuple[ImportedTask, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def task(self, name: str) -> ImportedTask:
        """A task by its name.

        Raises:
            KeyError: if there is no such task.
        """
        return {task.name: task for task in self.tasks}[name]


def text_hash(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def files_hash(files: Iterable[Path]) -> str:
    """SHA-256 over the contents of files, whatever they are called."""
    digests = []
    for file in files:
        with file.open("rb") as opened:
            digests.append(hashlib.file_digest(opened, "sha256").hexdigest())
    return text_hash("\n".join(sorted(digests)))


def briefly(value: Any) -> str:
    """A setting as text, short enough for a message; functions without their address."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    text = re.sub(r" at 0x[0-9a-f]+", "", text)
    return text if len(text) <= 60 else f"{text[:30]}… ({text_hash(text)[:8]})"
