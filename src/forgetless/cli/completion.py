"""What the shell is offered after a Tab, where it can be told without looking at data."""

from __future__ import annotations

from collections.abc import Iterator

TASK_SOURCES = ("bundled:", "hub:", "lm_eval:")


def method_names(incomplete: str) -> Iterator[str]:
    """Methods whose names begin so."""
    from forgetless.methods.groups import GROUPS

    for _, members in GROUPS.values():
        yield from (name for name in members if name.startswith(incomplete))


def arm_names(incomplete: str) -> Iterator[str]:
    """The same for the last method of a list of arms such as ``replay, ewc+re``."""
    cut = max(incomplete.rfind(sign) for sign in ",+ ") + 1
    yield from (incomplete[:cut] + name for name in method_names(incomplete[cut:]))


def task_sources(incomplete: str) -> Iterator[str]:
    """Built-in tasks by name, and how other sources begin; files are completed by the shell."""
    if not incomplete.startswith("bundled:"):
        yield from (source for source in TASK_SOURCES if source.startswith(incomplete))
        return
    from forgetless.tasks.bundled import BUNDLED_TASKS

    for name in BUNDLED_TASKS:
        if f"bundled:{name}".startswith(incomplete):
            yield f"bundled:{name}"


def suite_names(incomplete: str) -> Iterator[str]:
    """Built-in suites."""
    from forgetless.tasks.suites import SUITES

    yield from (name for name in SUITES if name.startswith(incomplete))


def score_names(incomplete: str) -> Iterator[str]:
    """How answers can be scored."""
    from typing import get_args

    from forgetless.plan import TaskConfig

    offered = get_args(TaskConfig.model_fields["score"].annotation)
    yield from (name for name in offered if name.startswith(incomplete))
