from __future__ import annotations

import json

import pytest

from forgetless.metrics import Figure, interval, intransigence, summarise

from .build import by_hand, itemised

RUN = itemised(
    {
        "law": ["0001", "1111", "1100"],
        "tax": ["0000", "1000", "111x"],
        "general": ["1111", "1110", "1010"],
    },
    trained_in={"law": 1, "tax": 2},
)
JOINT = itemised(
    {"law": ["0001", "1111"], "tax": ["0000", "1110"]}, trained_in={"law": 1, "tax": 1}
)


def test_summary_of_a_task_tells_its_whole_story() -> None:
    law = summarise(RUN, JOINT, draws=100).task("law")
    assert (law.unit, law.trained_in, law.items, law.excluded) == ("accuracy", 1, 4, 0)
    assert law.base.value == 0.25
    assert law.learned.value == 1.0
    assert law.best_earlier.value == 1.0
    assert law.final.value == 0.5
    assert law.forgetting.value == 0.5
    assert law.change.value == 0.25
    assert law.intransigence.value == 0.0


def test_summary_of_the_run_holds_every_average() -> None:
    summary = summarise(RUN, JOINT, draws=100)
    assert summary.average_accuracy.value == 0.75
    assert summary.learning_accuracy.value == 1.0
    assert summary.backward_transfer.value == -0.5
    assert summary.forward_transfer.value == pytest.approx(1 / 3)
    assert summary.average_forgetting.value == 0.5
    assert summary.average_retention_change.value == -0.5
    assert summary.average_intransigence.value == 0.0


def test_every_figure_that_exists_has_its_interval() -> None:
    summary = summarise(RUN, JOINT, draws=100, seed=3)
    law = summary.task("law")
    assert law.forgetting.interval == interval(
        lambda scores: scores.score(1, "law") - scores.score(2, "law"), RUN, draws=100, seed=3
    )
    assert law.base.interval is not None
    assert law.base.interval.method == "Clopper-Pearson"
    assert law.base.reason is None


def test_figure_that_does_not_exist_gives_its_reason() -> None:
    summary = summarise(RUN, draws=100)
    assert summary.task("tax").forgetting == Figure(
        None,
        None,
        "task 'tax' is trained in the last stage; nothing came after it to forget it by",
    )
    assert summary.task("general").learned.reason is not None
    assert summary.task("general").forgetting.value == 0.5
    assert summary.average_intransigence == Figure(None, None, "no joint run to compare with")


def test_value_without_items_stands_without_an_interval_and_says_why() -> None:
    base = summarise(by_hand(law=(1, [0.5, 0.75]))).task("law").base
    assert base.value == 0.5
    assert base.interval is None
    assert base.reason == "task 'law': only mean scores are known, not the single items"


def test_value_against_the_joint_run_is_taken_over_the_items_of_both() -> None:
    joint = itemised({"law": ["0001", "01x1"], "tax": ["0000", "0000"]}, trained_in={"law": 1})
    law = summarise(RUN, joint, draws=100).task("law")
    assert law.intransigence.value == pytest.approx(2 / 3 - 1)
    assert intransigence(RUN, joint, "law") == pytest.approx(2 / 3 - 1)
    assert law.intransigence.interval is not None


def test_run_that_was_stopped_is_summarised_as_far_as_it_goes() -> None:
    run = itemised(
        {"law": ["0001", "1111", None], "tax": ["0000", "1000", None]},
        trained_in={"law": 1, "tax": 2},
    )
    summary = summarise(run, draws=100)
    assert summary.task("law").learned.value == 1.0
    assert summary.forward_transfer.value == 0.25
    for absent in (summary.average_accuracy, summary.task("law").forgetting):
        assert absent.value is None
        assert absent.reason is not None
        assert "after stage 2" in absent.reason


def test_option_on_row_0_reaches_every_figure_of_forgetting() -> None:
    run = by_hand(law=(1, [0.9, 0.6, 0.5]), tax=(2, [0.0, 0.0, 0.5]))
    summary = summarise(run, count_base=False)
    assert summary.task("law").best_earlier.value == 0.6
    assert summary.task("law").forgetting.value == pytest.approx(0.1)
    assert summary.average_forgetting.value == pytest.approx(0.1)
    assert summary.count_base is False


def test_summary_becomes_strict_json() -> None:
    data = summarise(RUN, draws=100).to_json()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["stages"] == ["stage 0", "stage 1", "stage 2"]
    assert data["tasks"][0]["forgetting"]["value"] == 0.5
    assert data["tasks"][1]["forgetting"]["value"] is None
    assert set(data["tasks"][0]["forgetting"]["interval"]) == {"low", "high", "level", "method"}


def test_unknown_task_is_named_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match="no task 'lax'; the tasks are law, tax, general"):
        summarise(RUN, draws=10).task("lax")
