"""Answers that a program can check: what a rule is, and how an output is held against some.

Two readings, as in IFEval.  *Strict* takes the output as it is.  *Loose* also tries it without its
first line, without its last, without both, and each of these without asterisks, so that a
``Sure, here it is:`` or bold type does not hide that the rule was followed.  Each rule may be met
by another of these.

Source: Zhou et al. 2023 (IFEval), arXiv 2311.07911, section 2. Differs: own rules and wordings;
silence meets no rule, not even one that only forbids.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

_SPOKEN = re.compile(r"[^\W_]")  # a letter or a digit of any script


@dataclass(frozen=True, slots=True)
class Rule(ABC):
    """One thing that an output must do.

    A rule also words itself as a request, so that what is asked and what is checked cannot drift
    apart.  Its fields are part of an item's hash.

    Attributes:
        loosens: Whether the loose reading may change the output before it is checked.
    """

    loosens: ClassVar[bool] = True

    @abstractmethod
    def met(self, text: str) -> bool:
        """Whether a text does it; never raises.

        Args:
            text: At least one letter or digit, no white space around it.
        """

    @abstractmethod
    def request(self) -> str:
        """The rule as a sentence to whoever shall follow it."""

    def readings(self, text: str) -> dict[str, float]:
        """What else this rule says of an output, by name of the reading; nothing by default."""
        return {}

    def content(self) -> list[Any]:
        """Name and fields, as plain data for a hash."""
        return [type(self).__name__, asdict(self)]


@dataclass(frozen=True, slots=True)
class Checked:
    """Which rules an output met.

    Attributes:
        strict: By the output as it is, in the order of the rules.
        loose: By any of its loosened forms.
        more: Further readings that single rules gave.
    """

    strict: tuple[bool, ...]
    loose: tuple[bool, ...]
    more: tuple[tuple[str, float], ...] = ()

    @property
    def readings(self) -> dict[str, float]:
        """``strict`` and ``loose``: 1 if all rules are met; ``share``: of them, strictly."""
        return {
            "strict": float(all(self.strict)),
            "loose": float(all(self.loose)),
            "share": sum(self.strict) / len(self.strict),
            **dict(self.more),
        }


def check(rules: Sequence[Rule], output: str) -> Checked:
    """Hold an output against the rules of an item.

    Args:
        rules: At least one.
        output: What a model said, whatever it is.

    Raises:
        ValueError: if there are no rules; an item without any would be met by everything.
    """
    if not rules:
        raise ValueError("no rules to check an output against")
    forms = loosened(output)
    strict = tuple(_met(rule, output) for rule in rules)
    return Checked(
        strict,
        tuple(
            before or (rule.loosens and any(_met(rule, form) for form in forms))
            for rule, before in zip(rules, strict, strict=True)
        ),
        tuple(found for rule in rules for found in rule.readings(output.strip()).items()),
    )


def loosened(output: str) -> list[str]:
    r"""The forms of an output that the loose reading tries beside the output itself.

    >>> loosened("Sure:\n*yes*")
    ['*yes*', 'Sure:', '', 'Sure:\nyes', 'yes', 'Sure:', '']
    """
    lines = output.strip().split("\n")
    kept = [lines[1:], lines[:-1], lines[1:-1]]
    cut = ["\n".join(part).strip() for part in kept]
    return [*cut, *(form.replace("*", "").strip() for form in ("\n".join(lines), *cut))]


def _met(rule: Rule, text: str) -> bool:
    return _SPOKEN.search(text) is not None and rule.met(text.strip())
