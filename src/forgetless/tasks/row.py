"""What a task is made of: rows, each to be learned from or to be asked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

from forgetless.tasks.rules import Rule

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Row:
    """One training row or one test item; the same shape serves both.

    Exactly one of two kinds:

    - a *conversation*: ``prompt`` (one or more turns, the last not the assistant's) and ``answer``,
      the assistant turn that follows.  Earlier assistant turns in the prompt are learned too.
    - a *text*: ``prompt`` is empty and ``answer`` is the whole text.

    Attributes:
        id: Unique within the task; results are paired by it.
        prompt: The turns before the answer; empty for plain text.
        answer: What is learned, and the gold answer in a test.
        aliases: Further right answers of a test item.
        choices: Possible answers of a multiple-choice item, ``answer`` among them.
        group: Test items of one group (a passage, a template) are not independent of each other;
            empty for an item that stands alone.
        rules: What a program checks of the output; then ``answer`` only shows what is wanted.
        spelt: Of a row whose choices are letters, the same row with its choices in full.
    """

    id: str
    prompt: tuple[Turn, ...]
    answer: str
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    group: str = ""
    rules: tuple[Rule, ...] = ()
    spelt: Row | None = None

    @property
    def gold(self) -> int:
        """Index of the right choice.

        Raises:
            ValueError: if the row has no choices.
        """
        return self.choices.index(self.answer)

    def content_hash(self) -> str:
        """Hash of everything but id and group: equal rows are the same row under another name."""
        content: list[object] = [
            [[turn.role, turn.content] for turn in self.prompt],
            self.answer,
            list(self.aliases),
            list(self.choices),
        ]
        if self.rules:  # rows without any keep the hash that they had before there were rules
            content.append([rule.content() for rule in self.rules])
        return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()
