"""A task is judged by its interval alone, and an undecided one says how many items would decide."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetless.metrics import Figure, Interval
from forgetless.report import TaskOutcome, analyse, read_run
from forgetless.report.outcome import Fate, judge_loss

from .fake_runs import FakeTask, write_run


def figure(value: float, low: float, high: float) -> Figure:
    return Figure(value, Interval(low, high, 0.95, "bootstrap with an unseen item"), None)


def outcome(folder: Path, *tasks: FakeTask) -> TaskOutcome:
    return analyse([read_run(write_run(folder / "run", tasks))]).arms[0].outcomes[0]


@pytest.mark.parametrize(
    ("loss", "fate"),
    [
        (figure(0.3, 0.2, 0.4), "lost"),
        (figure(0.01, 0.001, 0.02), "lost"),
        (figure(-0.3, -0.4, -0.2), "improved"),
        (figure(0.0, -0.03, 0.03), "kept"),
        (figure(0.0, -0.3, 0.05), "kept"),
        (figure(0.0, -0.03, 0.06), "inconclusive"),
        (figure(0.1, 0.0, 0.2), "inconclusive"),
        (figure(-0.1, -0.3, 0.1), "inconclusive"),
        (Figure(0.3, None, "no items"), "inconclusive"),
        (Figure(None, None, "not measured"), "absent"),
    ],
)
def test_the_interval_of_the_loss_decides(loss: Figure, fate: Fate) -> None:
    assert judge_loss(loss, "accuracy") == fate


def test_loss_is_counted_from_where_the_task_was_learned(tmp_path: Path) -> None:
    # Later stages raise it to 0.9 first; forgetting counts from there, the loss does not.
    found = outcome(tmp_path, FakeTask("law", [0.1, 0.6, 0.9, 0.5], 1))
    assert found.loss.value == pytest.approx(0.1)
    assert found.summary.forgetting.value == pytest.approx(0.4)


def test_loss_of_a_task_only_tested_is_counted_from_the_untouched_model(tmp_path: Path) -> None:
    found = outcome(tmp_path, FakeTask("general", [0.7, 0.9, 0.4]), FakeTask("law", [0, 1, 1], 1))
    assert found.loss.value == pytest.approx(0.3)
    assert found.learning == "only tested"
    assert found.before.value is None


def test_gain_is_what_the_stage_itself_taught(tmp_path: Path) -> None:
    found = outcome(
        tmp_path, FakeTask("tax", [0.1, 0.3, 0.8], 2), FakeTask("law", [0.0, 1.0, 1.0], 1)
    )
    assert found.gain.value == pytest.approx(0.5)
    assert found.before.value == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("before", "after", "learning"),
    [
        (0.1, 0.8, "learned"),
        (0.3, 0.3, "not learned"),
        (0.3, 0.31, "not learned"),
        (0.95, 0.95, "known"),
        (0.5, 0.2, "not learned"),
    ],
)
def test_learning_is_told_apart_from_knowing(
    tmp_path: Path, before: float, after: float, learning: str
) -> None:
    assert outcome(tmp_path, FakeTask("law", [before, after, after], 1)).learning == learning


def test_flips_are_counted_since_learning(tmp_path: Path) -> None:
    # 40 right, then 40 others starting 5 later: 5 lost, 5 gained; nothing to tell from luck.
    found = outcome(tmp_path, FakeTask("law", [0.0, 0.4, 0.4], 1, swaps=5))
    assert found.flips is not None
    assert (len(found.flips.lost), len(found.flips.gained)) == (5, 5)
    assert found.p_adjusted == 1.0


def test_graded_scores_have_no_flips_and_say_why(tmp_path: Path) -> None:
    found = outcome(tmp_path, FakeTask("prose", [-2.0, -1.0, -1.5], 1, items=11, unit="nats"))
    assert found.flips is None
    assert found.flips_reason is not None
    assert found.p_adjusted is None


def test_a_task_learned_last_cannot_have_been_lost(tmp_path: Path) -> None:
    found = outcome(tmp_path, FakeTask("law", [0.1, 0.8], 1))
    assert found.fate == "absent"
    assert found.loss.reason == found.summary.forgetting.reason
    assert found.flips_reason == "nothing came after it was learned"
