"""Whoever can be asked: a local model, an adapter switched on or off, an endpoint.

An audit puts the same tasks to several of them.  What one of them answers is stored under its
identity and the request as it went out, so nothing here may depend on a name or a path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from forgetless.evaluation.result import ItemResult
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task


@dataclass
class Usage:
    """What asking took, counted as it happens.

    Attributes:
        requests: Requests sent to an endpoint, retries included.
        input_tokens: Tokens that an endpoint says it read.
        output_tokens: Tokens that an endpoint says it wrote.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class Conditions:
    """How a task was put to a subject; two results are comparable if these are equal.

    Attributes:
        parts: Name of a part to its hash or value, such as ``items``, ``prompts`` (as rendered),
            ``chat template``, ``tokenizer``, ``generation`` and ``scorer``.
    """

    parts: Mapping[str, str] = field(default_factory=dict)

    def differences(self, other: Conditions) -> list[str]:
        """Names of the parts in which two differ, in order."""
        names = dict.fromkeys([*self.parts, *other.parts])
        return [name for name in names if self.parts.get(name) != other.parts.get(name)]


@runtime_checkable
class Subject(Protocol):
    """A model that can be asked.

    Attributes:
        name: As the user named it.
        kind: ``hub``, ``folder``, ``adapter``, ``gguf``, ``object`` or ``endpoint``.
        usage: What asking took so far.
    """

    name: str
    kind: str
    usage: Usage

    def identity(self) -> str:
        """Hash of all that decides the answers: weights, adapter, tokenizer, template.

        An endpoint's weights cannot be seen: its identity is its address and its model's name, and
        its answers are stored for one audit only.
        """

    def details(self) -> Mapping[str, str]:
        """What a report shows beside the name, e.g. dtype and device; never a key."""

    def notes(self) -> Sequence[str]:
        """What the user should know, e.g. that choices are asked by generation."""

    def conditions(self, task: Task) -> Conditions:
        """How the task will be put to this subject."""

    def request(self, task: Task, row: Row) -> str:
        """Hash of what will be asked for one item: the rendered request and its settings."""

    def answer(self, task: Task, rows: Sequence[Row]) -> Iterator[list[ItemResult]]:
        """Ask some items of a task; results come as they are there, in any order, each once.

        An item that cannot be asked comes as a result with an error and no score.
        """

    def close(self) -> None:
        """Let go of memory and connections; the subject is not asked again.

        Once more does nothing.
        """
