"""What is told of a plan before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forgetless import forewarning
from forgetless.estimate import estimate
from forgetless.forewarning import few_items, hard_to_rehearse
from forgetless.methods import Replay
from forgetless.methods.compose import Compose
from forgetless.methods.stage import Stage
from forgetless.plan import TaskConfig, make_plan
from forgetless.preparation import Experiment, prepare
from forgetless.tasks.examples import TaskRows
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.task import Task
from tests.tiny import write_rows
from tests.training.build import exchange, make_task

Prepare = Callable[..., Experiment]


@pytest.fixture
def facts(tmp_path: Path) -> list[str]:
    """Two files of four facts each."""
    return [
        str(
            write_rows(
                tmp_path / f"{name}.jsonl",
                [{"prompt": f"{name} {n}?", "completion": f"say {n}"} for n in range(4)],
            )
        )
        for name in ("planets", "recipes")
    ]


@pytest.fixture
def prepared(tiny_model: Path, facts: list[str]) -> Prepare:
    """A plan of both, each asked for what it teaches, with changes to the first."""

    def make(methods: list[Any], **first: Any) -> Experiment:
        planets, recipes = ({"train": file, "test": file} for file in facts)
        sequence = [planets | first, recipes]
        keys = {"model": str(tiny_model), "sequence": sequence, "methods": methods}
        return prepare(make_plan(keys | {"training": {"device": "cpu"}}))

    return make


def unrehearsed(experiment: Experiment) -> list[str]:
    return [warning for warning in experiment.warnings if "memory: true" in warning]


def test_rehearsal_that_may_draw_nothing_is_told(prepared: Prepare) -> None:
    (warning,) = unrehearsed(prepared(["replay"]))
    assert warning == (
        "task 'planets': replay may draw none of its 4 training rows, for all are test items: it "
        "is left as unprotected as without replay; where the test is to ask what was taught, say  "
        "memory: true"
    )


@pytest.mark.parametrize("methods", [["agem"], ["on_policy_replay"], ["ewc", "replay"]])
def test_every_method_that_draws_old_rows_is_named(prepared: Prepare, methods: list[str]) -> None:
    (warning,) = unrehearsed(prepared(methods))
    assert f"{methods[-1]} may draw none" in warning


@pytest.mark.parametrize("methods", [[], ["ewc"], ["self_replay"], [{"replay": {"ratio": 0}}]])
def test_nothing_is_told_of_rehearsal_where_no_old_row_is_drawn(
    prepared: Prepare, methods: list[Any]
) -> None:
    assert unrehearsed(prepared(methods)) == []


@pytest.mark.parametrize(("asked", "told"), [(3, ["1 of its 4 training rows alone"]), (2, [])])
def test_a_task_is_told_of_when_most_of_its_rows_are_tested(
    prepared: Prepare, asked: int, told: list[str]
) -> None:
    warnings = unrehearsed(prepared(["replay"], limit=asked))
    assert [part in warning for part, warning in zip(told, warnings, strict=True)] == [
        True for _ in told
    ]


def test_a_task_of_memory_is_rehearsed_and_nothing_is_told(prepared: Prepare) -> None:
    experiment = prepared([{"replay": {"ratio": 0.5}}], memory=True)
    assert unrehearsed(experiment) == []
    assert estimate(experiment.plan).stages[1].replayed_tokens > 0
    without = prepared([{"replay": {"ratio": 0.5}}])
    assert estimate(without.plan).stages[1].replayed_tokens == 0


def test_memory_changes_what_a_stage_that_rehearses_comes_to_and_no_other(
    prepared: Prepare,
) -> None:
    one, other = (prepared(["replay"], memory=memory).fingerprints() for memory in (False, True))
    assert one[:2] == other[:2]
    assert one[2] != other[2]


@pytest.mark.parametrize("rows", [200, 201])
def test_a_task_of_far_more_rows_than_test_items_is_not_read(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def untested(found: TaskRows, _: Stage) -> TaskRows:
        read.append(len(found))
        return found

    monkeypatch.setattr(forewarning, "untested", untested)
    old = make_task("old", [exchange(n, f"What is {n}?", str(n)) for n in range(rows)])
    stage = Stage(2, "2-new", (), (old,), held_back=frozenset({b"one", b"other"}))
    assert hard_to_rehearse([stage], Compose([Replay()])) == {}
    assert read == ([200] if rows == 200 else [])


def test_the_warnings_of_a_task_stand_in_the_manifest(prepared: Prepare) -> None:
    planets, recipes = prepared(["replay"]).facts()["tasks"]
    assert [text.split(":")[0] for text in planets["warnings"]] == [
        "4 of 4 test items also occur in training",
        "few test items",
        "replay may draw none of its 4 training rows, for all are test items",
    ]
    assert len(recipes["warnings"]) == 2


def asked(count: int, groups: int = 0, **settings: Any) -> Task:
    """A task of so many test items, in groups where so many are named."""
    items = [
        Row(str(n), (Turn("user", f"{n}?"),), "a", group=f"g{n % groups}" if groups else "")
        for n in range(count)
    ]
    return Task(TaskConfig(name="x", **{"train": "x.csv", **settings}), (), items)


def test_items_are_few_while_a_quarter_of_the_scale_could_be_lost_unseen() -> None:
    assert few_items(asked(13)) is None  # 1 - 0.025^(1/13) = 0.247
    assert few_items(asked(12)) == (  # 1 - 0.025^(1/12) = 0.265
        "few test items: figures rest on 12; a loss of 26 points cannot be ruled out even where no "
        "answer changes; raise hold_out, or name a test"
    )


def test_a_group_of_items_counts_as_one() -> None:
    assert "rest on 3 groups of them; a loss of 71 points" in str(few_items(asked(60, groups=3)))


def test_items_that_ask_the_same_count_as_one() -> None:
    once = asked(15)
    twice = [replace(row, id=f"{row.id} again") for row in once.test]
    assert few_items(replace(once, test=[*once.test, *twice])) is None
    same = replace(once, test=[replace(once.test[0], id=str(n)) for n in range(60)])
    assert "rest on 1 group of them; a loss of 98 points" in str(few_items(same))


def test_items_that_only_choose_do_not_count() -> None:
    assert few_items(asked(26), giving=0.5) is None
    assert "rest on 12, for of 25 the others choose" in str(few_items(asked(25), giving=0.5))


def test_nothing_is_foretold_of_likelihoods() -> None:
    assert few_items(asked(2, score="nll")) is None


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"test": "t.csv"}, "add items to its test"),
        ({"memory": True}, "add items to its test"),
        ({"test": "t.csv", "limit": 5}, "raise limit"),
    ],
)
def test_the_remedy_for_few_items_is_the_setting_that_made_them_few(
    settings: dict[str, Any], remedy: str
) -> None:
    assert str(few_items(asked(5, **settings))).endswith(f"; {remedy}")
