"""Named suites: which bundled tasks are asked where a user brings none, and what each is about."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from forgetless.errors import DataError

GENERAL = "general ability"
FOLLOWING = "instruction following"
SAFETY = "safety"

QUICK_ITEMS = 60


@dataclass(frozen=True)
class SuiteTask:
    """One task of a suite.

    Attributes:
        task: Name of the bundled task.
        area: What it says something about: general ability, instruction following or safety.
        limit: Only the first so many items, which are balanced over the levels; None: all.
    """

    task: str
    area: str
    limit: int | None = None


_DEFAULT = (
    SuiteTask("knowledge", GENERAL),
    SuiteTask("arithmetic", GENERAL),
    SuiteTask("reasoning", GENERAL),
    SuiteTask("reading", GENERAL),
    SuiteTask("code_reading", GENERAL),
    SuiteTask("languages", GENERAL),
    SuiteTask("instructions", FOLLOWING),
    SuiteTask("format", FOLLOWING),
    SuiteTask("safety", SAFETY),
)

SUITES: Mapping[str, tuple[SuiteTask, ...]] = {
    "default": _DEFAULT,
    "quick": tuple(SuiteTask(one.task, one.area, QUICK_ITEMS) for one in _DEFAULT),
}


def suite(name: str) -> tuple[SuiteTask, ...]:
    """The tasks of a suite.

    Raises:
        DataError: for an unknown name, offering the nearest.

    Example:
        >>> [one.task for one in suite("quick")][:2], suite("quick")[0].limit
        (['knowledge', 'arithmetic'], 60)
    """
    if name not in SUITES:
        near = difflib.get_close_matches(name, SUITES, n=1)
        raise DataError(
            f"suite {name!r}: there is none of this name",
            fix=f"did you mean {near[0]!r}?" if near else f"there are {', '.join(SUITES)}",
        )
    return SUITES[name]
