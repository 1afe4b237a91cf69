"""An audit whose free text another model judges."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forgetless.auditing.audit import audit
from forgetless.auditing.result import Audit
from forgetless.errors import UsageError
from tests.auditing.conftest import Damage
from tests.endpoints.faults import Server, serving
from tests.endpoints.scripted import Scripted


def knows(colour: str) -> Any:
    """A judge for whom every answer with a word in it is half right."""
    return lambda text: f"Well.\nGrade: {2 if colour in text.split('answer: ')[-1] else 0}"


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving(Scripted(model="wise", say=knows("red"))) as server:
        yield server


def judged(damage: Damage, server: Server, **settings: Any) -> Audit:
    wanted: dict[str, Any] = {
        "tasks": [{"test": str(damage.items), "score": "contains"}],
        "device": "cpu",
        "store": False,
        "null_ways": 0,
        "judge": f"openai:wise@{server.url}",
    }
    return audit(str(damage.before), str(damage.after), **{**wanted, **settings})


def test_grades_are_the_scores_that_the_verdict_rests_on(damage: Damage, judge: Server) -> None:
    found = judged(damage, judge)
    assert {item.item: item.scores["before"] for item in found.items} == {
        item.item: 0.5 if item.gold == "red" else 0.0 for item in found.items
    }
    assert found.comparisons[0].verdicts[0].before.value == pytest.approx(0.5 / 6)
    assert found.tasks[0].scorer == "judge"
    assert found.judge is not None
    assert (found.judge.name, found.judge.kind) == ("openai:wise", "endpoint")


def test_what_a_judge_costs_is_told(damage: Damage, judge: Server) -> None:
    found = judged(damage, judge, price_in=10.0, price_out=100.0)
    spent = found.costs["judge"]
    assert spent.requests == 48
    assert spent.input_tokens == 2 * 48
    assert spent.output_tokens == 3 * 48
    assert found.price == pytest.approx((96 * 10 + 144 * 100) / 1e6)
    assert judged(damage, judge).price is None


def test_a_price_is_not_told_where_an_endpoint_counts_no_tokens(
    damage: Damage, judge: Server
) -> None:
    judge.respond = Scripted(model="wise", say=knows("red"), counts=False)
    found = judged(damage, judge, price_in=10.0)
    assert found.costs["judge"].requests
    assert found.price is None


def test_a_judge_who_says_no_grade_leaves_the_task_failed(damage: Damage, judge: Server) -> None:
    judge.respond = Scripted(model="wise", say=lambda _: "Splendid!")
    found = judged(damage, judge)
    assert found.comparisons[0].verdicts[0].verdict == "failed"
    assert found.exit_code == 1
    assert "no grade" in found.items[0].errors["before"]


def test_equal_answers_are_judged_once_and_kept_only_for_this_audit(
    damage: Damage, judge: Server, tmp_path: Path
) -> None:
    (tmp_path / "audit").mkdir()
    same = audit(
        str(damage.before),
        str(damage.before),
        tasks=[{"test": str(damage.items), "score": "contains"}],
        store=tmp_path / "answers.sqlite",
        folder=tmp_path / "audit",
        device="cpu",
        null_ways=0,
        judge=f"openai:wise@{judge.url}",
    )
    assert same.costs["judge"].requests == 24
    assert not list((tmp_path / "audit").iterdir())


def test_a_model_under_test_is_no_judge(damage: Damage, judge: Server) -> None:
    with pytest.raises(UsageError, match="which is under test"):
        judged(damage, judge, judge=str(damage.after))


def test_a_copy_of_a_model_under_test_is_no_judge(
    damage: Damage, judge: Server, tmp_path: Path
) -> None:
    copied = shutil.copytree(damage.after, tmp_path / "wise")
    with pytest.raises(UsageError, match=r"wise: it is .*after, which is under test"):
        judged(damage, judge, judge=str(copied))


def test_answers_to_other_words_are_judged_as_well(damage: Damage, judge: Server) -> None:
    judge.respond = Scripted(model="wise", say=lambda _: "Grade: 0")
    found = judged(damage, judge, null_ways=1)
    assert found.costs["judge"].requests == 72
    null = found.comparisons[0].verdicts[0].null
    assert null is not None
    assert (null.lost, null.gained) == (0, 0)


def test_a_judge_with_nothing_to_judge_is_refused(damage: Damage, judge: Server) -> None:
    with pytest.raises(UsageError, match="no task has answers in free text"):
        judged(damage, judge, tasks=["bundled:arithmetic"])
    assert not judge.seen


def test_answers_of_other_tools_are_not_judged(tmp_path: Path, judge: Server) -> None:
    from datetime import UTC, datetime

    from forgetless.evaluation.result import ItemResult
    from forgetless.exchange.lm_eval_export import AnsweredTask, export_lm_eval

    answers = [ItemResult("free", "1", "Why?", "So.", output="So.", score=1.0)]
    for name in ("before", "after"):
        tasks = [AnsweredTask("free", "contains", answers)]
        export_lm_eval(tmp_path / name, "me", tasks, datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(UsageError, match="results of other tools are not judged"):
        audit(str(tmp_path / "before"), str(tmp_path / "after"), judge="openai:wise")


def test_a_judge_may_have_a_key_of_its_own(
    damage: Damage, judge: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of-the-models")
    monkeypatch.setenv("FORGETLESS_JUDGE_API_KEY", "of-the-judge")
    judged(damage, judge)
    sent = {name.lower(): value for name, value in judge.headers.items()}
    assert sent["authorization"] == "Bearer of-the-judge"


def test_a_name_under_test_is_no_judge_at_another_address_either(
    damage: Damage, judge: Server
) -> None:
    tasks = [{"test": str(damage.items), "score": "contains"}]
    with serving(Scripted(model="wise")) as tested:
        name = f"openai:wise@{tested.url}"
        with pytest.raises(UsageError, match="under test"):
            audit(name, name, tasks=tasks, judge=f"openai:wise@{judge.url}")
    assert not judge.seen
