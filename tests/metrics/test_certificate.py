"""What is claimed of many budgets at once: all kept, one kept, one broken."""

from __future__ import annotations

from forgetless.metrics import Evidence, certify, word_for

from .build import cell


def task(name: str, *, lost: int, kept: int, budget: float = 0.1) -> Evidence:
    before, after = "1" * (lost + kept) + "0" * 30, "0" * lost + "1" * kept + "0" * 30
    return Evidence(name, "accuracy", cell(before), cell(after), budget=budget)


SAFE = [task(f"safe {n}", lost=0, kept=300) for n in range(11)]


def test_each_task_is_judged_by_its_own_budget() -> None:
    strict, mild = task("a", lost=12, kept=270, budget=0.01), task("b", lost=12, kept=270)
    found = certify([strict, mild])
    assert [word_for(one) for one in found] == ["not certified", "certified"]
    assert [one.budget for one in found] == [0.01, 0.1]


def test_a_certificate_needs_no_correction_for_the_other_tasks() -> None:
    # "All are within" is false only if one task is beyond, and then that one's bound has failed.
    doubtful = task("law", lost=20, kept=280)
    (alone,) = certify([doubtful])
    *_, among = certify([*SAFE, doubtful])
    assert alone.change == among.change
    assert word_for(alone) == word_for(among) == "certified"


def test_that_some_budget_was_broken_takes_more_evidence_among_many_tasks() -> None:
    # 6 lost, none gained of 36: p = 2 / 2**6 = 0.031; Holm over 12 tasks: 0.375.
    doubtful = task("law", lost=6, kept=0, budget=0.05)
    (alone,) = certify([doubtful])
    *_, among = certify([*SAFE, doubtful])
    assert (word_for(alone), alone.p_adjusted) == ("not certified", 0.03125)
    assert (word_for(among), among.p_adjusted) == ("inconclusive", 0.375)


def test_a_new_task_that_was_at_floor_is_certified_by_its_gain() -> None:
    new = Evidence("new", "accuracy", cell("0" * 16), cell("1" * 12 + "0" * 4), budget=0.02)
    still = Evidence("new", "accuracy", cell("0" * 16), cell("0" * 16), budget=0.02)
    assert [word_for(one) for one in certify([new])] == ["certified"]
    assert [word_for(one) for one in certify([still])] == ["inconclusive"]


def test_a_task_at_floor_is_certified_by_its_bound_as_any_other() -> None:
    # Guessed before and after: 400 items, none of which changed, leave room for 0.7 points.
    guess = cell("1000" * 100)
    same = Evidence("a", "accuracy", guess, guess, chance=0.25, budget=0.02)
    few = Evidence("b", "accuracy", cell("1000" * 20), cell("1000" * 20), chance=0.25, budget=0.02)
    found = certify([same, few])
    assert [one.verdict for one in found] == ["at floor", "at floor"]
    assert [word_for(one) for one in found] == ["certified", "inconclusive"]
    all_lost = cell("1" * 30 + "0" * 2970), cell("0" * 3000)
    (little,) = certify([Evidence("c", "accuracy", *all_lost, budget=0.02)])
    assert little.verdict == "at floor"
    assert word_for(little) == "certified"  # there was but one point to lose
