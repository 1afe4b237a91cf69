"""Settings of an audit."""

from __future__ import annotations

import pytest

from forgetless.auditing.config import make_config
from forgetless.auditing.tasks import gather_tasks
from forgetless.errors import UsageError
from forgetless.plan import as_share
from forgetless.tasks.given import task_config
from forgetless.tasks.suites import suite


@pytest.mark.parametrize(("text", "share"), [("2%", 0.02), ("0.02", 0.02), (" 7.5 % ", 0.075)])
def test_a_budget_is_a_percentage_or_a_share(text: str, share: float) -> None:
    assert as_share(text) == share
    assert make_config({"budget": text}).budget == share


@pytest.mark.parametrize("budget", ["2", "0", "-1%", "200%", "two", 5])
def test_a_budget_that_is_no_share_is_refused_by_name(budget: object) -> None:
    with pytest.raises(UsageError, match="audit: budget is"):
        make_config({"budget": budget})


@pytest.mark.parametrize("budget", ["5", 5, 5.0])
def test_a_budget_in_points_is_refused_with_the_share_that_is_meant(budget: object) -> None:
    with pytest.raises(UsageError, match=r"needed a share below 1, such as 5% or 0\.05"):
        make_config({"budget": budget})


def test_an_unknown_setting_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="unknown setting 'bugdet'") as refused:
        make_config({"bugdet": 0.02})
    assert refused.value.fix is not None
    assert "budget" in refused.value.fix


@pytest.mark.parametrize(
    ("source", "name", "test"),
    [
        ("exam.jsonl", "exam", "exam.jsonl"),
        ("data/exam.jsonl", "exam", "data/exam.jsonl"),
        ("medicine=data/exam.jsonl", "medicine", "data/exam.jsonl"),
        ("./a=b.jsonl", "a_b", "./a=b.jsonl"),
        ("bundled:general_knowledge", "general_knowledge", "bundled:general_knowledge"),
        ("hub:owner/data", "data", "hub:owner/data"),
    ],
)
def test_a_task_is_named_after_its_source_or_as_the_user_says(
    source: str, name: str, test: str
) -> None:
    config = task_config(source)
    assert (config.name, config.test) == (name, test)


def test_without_tasks_the_default_suite_is_asked_by_area() -> None:
    members = suite("default")
    asked = gather_tasks([], None, 2)
    assert [(one.info.name, one.info.area) for one in asked] == [
        (member.task, member.area) for member in members
    ]
    assert [one.info.items for one in asked] == [2] * len(members)
    assert gather_tasks([], None, 2, default=False) == []
