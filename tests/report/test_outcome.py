"""A task is judged by the tests of an audit, and an undecided one says how many would decide."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forgetless.report import TaskOutcome, analyse, read_run
from forgetless.report.phrases import judgement

from .fake_runs import FakeTask, write_run


def outcome(folder: Path, *tasks: FakeTask) -> TaskOutcome:
    return analyse([read_run(write_run(folder / "run", tasks))]).arms[0].outcomes[0]


@pytest.mark.parametrize(
    ("learned", "end", "items", "fate"),
    [
        (0.8, 0.3, 100, "lost"),
        (0.8, 0.79, 2000, "lost"),  # 20 of 20 flips: real, however small
        (0.4, 0.7, 100, "improved"),
        (0.8, 0.8, 100, "kept"),
        (1.0, 1.0, 100, "at ceiling"),
        (0.8, 0.8, 20, "inconclusive"),
        (0.8, 0.6, 20, "inconclusive"),  # 4 lost, none gained: p 0.125
    ],
)
def test_a_fall_is_lost_if_chance_does_not_explain_it_and_kept_if_it_is_small_for_sure(
    tmp_path: Path, learned: float, end: float, items: int, fate: str
) -> None:
    assert outcome(tmp_path, FakeTask("law", [0.0, learned, end], 1, items=items)).fate == fate


def test_the_more_tasks_are_looked_at_the_more_it_takes_to_be_lost(tmp_path: Path) -> None:
    law = FakeTask("law", [0.0, 0.8, 0.74], 1)  # 6 lost, none gained: p 0.031
    still = [FakeTask(f"other {n}", [0.5, 0.5, 0.5]) for n in range(2)]
    assert outcome(tmp_path / "alone", law).fate == "lost"
    among_three = outcome(tmp_path / "three", law, *still)
    assert among_three.fate == "inconclusive"
    assert among_three.judged is not None
    assert among_three.judged.p_adjusted == pytest.approx(3 * 2 * 0.5**6)


@pytest.mark.parametrize(("level", "fate"), [(0, "at floor"), (4, "lost")])
def test_a_task_that_is_guessed_is_at_floor_unless_one_of_its_levels_is_known(
    tmp_path: Path, level: int, fate: str
) -> None:
    # 30 of 100 right where guessing scores 25: by luck, unless they are those of the easiest part.
    task = FakeTask("facts", [0.3, 0.3, 0.26 if fate == "at floor" else 0.0], choices=4)
    if level:
        task = FakeTask("facts", task.scores, choices=4, levels=level)
    assert outcome(tmp_path, task, FakeTask("law", [0.0, 0.8, 0.8], 1)).fate == fate


def test_choices_of_items_whose_answers_are_written_give_no_chance(tmp_path: Path) -> None:
    task = FakeTask("facts", [0.3, 0.3, 0.3], choices=4, extra={"scorer": "exact_match"})
    found = outcome(tmp_path, task, FakeTask("law", [0.0, 0.8, 0.8], 1))
    assert found.fate == "kept"
    assert found.judged is not None
    assert found.judged.chance is None


def test_items_without_an_answer_could_all_have_been_lost(tmp_path: Path) -> None:
    def fate(end: float, missing: int) -> str:
        task = FakeTask("law", [0.0, 0.8, end], 1, errors={2: missing})
        return outcome(tmp_path / f"{end} {missing}", task).fate

    assert (fate(0.8, 0), fate(0.8, 5)) == ("kept", "inconclusive")
    assert fate(0.2, 20) == "lost"  # of the others enough were lost for certain


def test_an_item_that_another_stage_could_not_score_is_left_out_as_it_is_of_the_figures(
    tmp_path: Path,
) -> None:
    found = outcome(
        tmp_path,
        FakeTask("law", [0.0, 0.8, 0.8, 0.5], 1, errors={2: 30}),
        FakeTask("tax", [0.0, 0.0, 0.0, 0.9], 3),
    )
    assert found.loss.value == pytest.approx(30 / 70)
    assert found.start.value is not None
    assert found.summary.final.value is not None
    assert found.loss.value == pytest.approx(found.start.value - found.summary.final.value)
    assert found.fate == "lost"


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
    found = outcome(tmp_path, FakeTask("law", [0.0, 0.4, 0.4], 1, swaps=5)).judged
    assert found is not None
    assert found.flips is not None
    assert (len(found.flips.lost), len(found.flips.gained)) == (5, 5)
    assert found.p_adjusted == 1.0


def test_graded_scores_have_no_flips_and_are_tested_all_the_same(tmp_path: Path) -> None:
    found = outcome(tmp_path, FakeTask("prose", [-2.0, -1.0, -1.5], 1, items=11, unit="nats"))
    assert found.judged is not None
    assert found.judged.flips is None
    assert found.judged.p_adjusted == pytest.approx(2 * 0.5**11)  # all eleven fell
    assert found.fate == "lost"


def test_a_task_learned_last_cannot_have_been_lost(tmp_path: Path) -> None:
    found = outcome(tmp_path, FakeTask("law", [0.1, 0.8], 1))
    assert (found.fate, found.judged) == ("absent", None)
    assert found.loss.reason == found.summary.forgetting.reason


@pytest.mark.parametrize(
    ("contained", "word"), [(1.0, "lost, in form alone"), (0.0, "lost"), (None, "lost")]
)
def test_a_loss_of_form_alone_is_called_so_where_the_answers_still_contain_what_was_asked(
    tmp_path: Path, contained: float | None, word: str
) -> None:
    folder = write_run(tmp_path / "run", [FakeTask("law", [0.0, 0.8, 0.2], 1)])
    for scores in sorted(folder.glob("stages/*/scores.jsonl")):
        lines = [json.loads(line) for line in scores.read_text().splitlines()]
        for line in lines:
            right = line["readings"]["exact_match"]
            held = right if scores.parent.name.startswith("1") else max(right, contained or 0.0)
            line["readings"] = {} if contained is None else {"contains": held}
        scores.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (found,) = analyse([read_run(folder)]).arms[0].outcomes
    assert judgement(found, last=2) == word


def test_what_is_too_little_to_tell_says_how_many_items_would(tmp_path: Path) -> None:
    few = outcome(tmp_path, FakeTask("law", [0.0, 0.8, 0.8], 1, items=20))
    assert few.judged is not None
    needed = few.judged.items_needed
    assert needed is not None
    assert 72 <= needed < 80  # 72 by the exact limit, a little more or less by the drawn one
    assert judgement(few, last=2) == f"inconclusive: needs about {needed} items"


def rewritten(folder: Path, change: Callable[[str, dict[str, Any]], dict[str, Any] | None]) -> Path:
    """The run with its score lines changed, or left out."""
    for scores in sorted(folder.glob("stages/*/scores.jsonl")):
        lines = [json.loads(line) for line in scores.read_text().splitlines()]
        kept = [found for line in lines if (found := change(scores.parent.name[0], line))]
        scores.write_text("".join(f"{json.dumps(line)}\n" for line in kept))
    return folder


def test_a_small_loss_is_one_of_form_only_if_the_answers_lost_less(tmp_path: Path) -> None:
    # 60 of 2,000: as many answers no longer contain what was asked for.
    task = FakeTask("law", [0.0, 0.7, 0.67], 1, items=2000)

    def contains(stage: str, line: dict[str, Any]) -> dict[str, Any]:
        held = float(line["score"] or line["item"].endswith("1999"))
        return line | {"readings": {"contains": held}}

    folder = rewritten(write_run(tmp_path / "run", [task]), contains)
    (found,) = analyse([read_run(folder)]).arms[0].outcomes
    assert judgement(found, last=2) == "lost"


@pytest.mark.parametrize(("right_before", "fate"), [(True, "inconclusive"), (False, "kept")])
def test_what_was_wrong_before_cannot_have_been_lost_when_no_answer_came(
    tmp_path: Path, right_before: bool, fate: str
) -> None:
    task = FakeTask("law", [0.0, 0.9, 0.9], 1, items=1000)  # the last hundred are wrong
    silent = range(60) if right_before else range(940, 1000)

    def fail(stage: str, line: dict[str, Any]) -> dict[str, Any]:
        if stage == "2" and int(line["item"][-4:]) in silent:
            return line | {"score": None, "error": "timed out", "readings": {}}
        return line

    folder = rewritten(write_run(tmp_path / "run", [task]), fail)
    (found,) = analyse([read_run(folder)]).arms[0].outcomes
    assert found.fate == fate
    if right_before:
        assert judgement(found, last=2) == (
            "inconclusive: 60 items without an answer could hide a loss"
        )


def test_items_that_a_row_does_not_name_at_all_were_not_answered(tmp_path: Path) -> None:
    task = FakeTask("law", [0.0, 0.8, 0.8], 1, items=1000)

    def lack(stage: str, line: dict[str, Any]) -> dict[str, Any] | None:
        return None if stage == "2" and line["item"].endswith("7") else line

    folder = rewritten(write_run(tmp_path / "run", [task]), lack)
    (found,) = analyse([read_run(folder)]).arms[0].outcomes
    assert found.judged is not None
    assert found.judged.missing == 100
    assert found.fate == "inconclusive"


@pytest.mark.parametrize(("silent", "fate"), [(0, "improved"), (60, "inconclusive")])
def test_no_gain_is_told_where_the_items_without_an_answer_could_outweigh_it(
    tmp_path: Path, silent: int, fate: str
) -> None:
    task = FakeTask("law", [0.0, 0.5, 0.575], 1, items=200)  # 15 gained

    def fail(stage: str, line: dict[str, Any]) -> dict[str, Any]:
        if stage == "2" and int(line["item"][-4:]) < silent:  # that were right
            return line | {"score": None, "error": "CUDA out of memory", "readings": {}}
        return line

    folder = rewritten(write_run(tmp_path / "run", [task]), fail)
    assert analyse([read_run(folder)]).arms[0].outcomes[0].fate == fate


def in_groups_of_five(stage: str, line: dict[str, Any]) -> dict[str, Any]:
    return line | {"group": f"passage {int(line['item'][-4:]) % 12}"}


@pytest.mark.parametrize("end", [0.5, 0.8])
def test_the_word_never_contradicts_the_interval_beside_it(tmp_path: Path, end: float) -> None:
    """Of few groups the test says more than their interval does, which leaves room for another."""
    start = 1.3 - end
    folder = write_run(tmp_path / "run", [FakeTask("law", [0.0, start, end], 1, items=60)])
    (found,) = analyse([read_run(rewritten(folder, in_groups_of_five))]).arms[0].outcomes
    assert found.judged is not None
    assert found.judged.p_adjusted is not None
    assert found.judged.p_adjusted < 0.05
    limits = found.loss.interval
    assert limits is not None
    across = limits.low <= 0 <= limits.high
    assert across == (found.fate not in ("lost", "improved"))


def test_next_to_nothing_that_was_known_can_be_lost_all_the_same(tmp_path: Path) -> None:
    still = outcome(tmp_path / "still", FakeTask("law", [0.0, 0.04, 0.04], 1, items=2000))
    fallen = outcome(tmp_path / "fallen", FakeTask("law", [0.0, 0.04, 0.03], 1, items=2000))
    assert (still.fate, fallen.fate) == ("kept", "lost")


def test_a_guessed_task_that_fell_for_certain_is_said_to_have_fallen(tmp_path: Path) -> None:
    task = FakeTask("quiz", [0.35, 0.35, 0.1], choices=4)
    found = outcome(tmp_path, task, FakeTask("law", [0.0, 0.8, 0.8], 1))
    assert (found.fate, found.doubt) == ("inconclusive", "guessed")
    assert judgement(found, last=2) == "inconclusive: fell, but may have been guessed before"
