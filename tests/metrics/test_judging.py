"""One verdict per task: kept, lost, inconclusive, at floor, at ceiling or failed."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from forgetless.metrics import Cell, Evidence, TaskVerdict, find_flips, judge, mcnemar, sign_flip
from forgetless.report.outcome import fate_of

from .build import cell


def task(
    name: str = "law", *, both: int = 0, lost: int = 0, gained: int = 0, wrong: int = 0, **more: Any
) -> Evidence:
    """A task by its four kinds of items."""
    before = "1" * (both + lost) + "0" * (gained + wrong)
    after = "1" * both + "0" * lost + "1" * gained + "0" * wrong
    return Evidence(name, "accuracy", cell(before), cell(after), **more)


def verdict(evidence: Evidence, **options: Any) -> TaskVerdict:
    return judge([evidence], **{"budget": 0.02, **options})[0]


def nats(before: Any, after: Any) -> Evidence:
    return Evidence("prose", "nats", cell(list(before)), cell(list(after)))


@pytest.mark.parametrize(
    ("evidence", "word"),
    [
        (task(both=330, lost=70, gained=12, wrong=88), "lost"),
        (task(both=398, lost=2, gained=1, wrong=99), "kept"),
        (task(both=350, gained=30, wrong=120), "kept"),
        (task(both=60, gained=12, wrong=28), "kept"),  # a gain, though few items
        (task(both=3940, lost=60, gained=20, wrong=980), "kept"),  # real, but less than a point
        (task(both=380, lost=20, gained=14, wrong=86), "inconclusive"),
        (task(both=75, lost=5, gained=3, wrong=17), "inconclusive"),
        (task(both=110, lost=20, gained=20, wrong=350, chance=0.25), "at floor"),
        (task(both=2, lost=3, wrong=195), "at floor"),
        (task(both=499, lost=1), "at ceiling"),
        (task(both=50), "inconclusive"),  # easy or not: 50 items leave room for 7 points
        (task(lost=6), "lost"),
        (task(lost=5), "inconclusive"),
        (task(lost=9, chance=0.25), "lost"),
        (task(lost=200, chance=0.5), "lost"),
    ],
)
def test_the_word_for_a_task(evidence: Evidence, word: str) -> None:
    assert verdict(evidence).verdict == word


def test_right_or_wrong_items_that_stand_alone_are_tested_by_mcnemar() -> None:
    found = verdict(task(both=330, lost=70, gained=12, wrong=88))
    assert found.p_value == mcnemar(70, 12)
    assert found.flips is not None
    assert (len(found.flips.lost), len(found.flips.gained)) == (70, 12)
    assert (found.items, found.missing, found.budget) == (500, 0, 0.02)
    assert found.change.value == pytest.approx(-58 / 500)
    assert found.before.value == 0.8
    assert found.after.value == pytest.approx(342 / 500)


def test_grouped_items_are_tested_by_swapping_whole_groups() -> None:
    evidence = task(both=330, lost=70, gained=12, wrong=88)
    groups = {f"q{i}": str(i // 10) for i in range(500)}  # 7 groups fall, two rise in part
    grouped = verdict(replace(evidence, groups=groups))
    assert grouped.verdict == "inconclusive"
    assert grouped.p_value == sign_flip(np.array([-10.0] * 7 + [10.0, 2.0]))
    assert grouped.change.interval is not None
    alone = verdict(evidence).change.interval
    assert alone is not None
    assert grouped.change.interval.low < alone.low
    assert grouped.detectable is not None
    assert grouped.detectable > 0.1


def test_groups_of_one_item_change_no_verdict() -> None:
    evidence = task(both=330, lost=70, gained=12, wrong=88)
    groups = {f"q{i}": str(i) for i in range(500)}
    assert verdict(replace(evidence, groups=groups)) == verdict(evidence)


def test_the_order_of_items_does_not_matter() -> None:
    evidence = task(both=60, lost=12, gained=3, wrong=25)
    shuffled = replace(evidence, before=Cell(dict(list(evidence.before.scores.items())[::-1])))
    found, other = verdict(evidence), verdict(shuffled)
    assert found.change == other.change
    assert found.verdict == other.verdict


def test_before_and_after_swapped_turn_the_change_round() -> None:
    evidence = task(both=60, lost=12, gained=3, wrong=25)
    found = verdict(evidence)
    swapped = verdict(replace(evidence, before=evidence.after, after=evidence.before))
    assert found.change.value is not None
    assert found.change.interval is not None
    assert swapped.change.interval is not None
    assert swapped.change.value == pytest.approx(-found.change.value)
    assert swapped.change.interval.low == pytest.approx(-found.change.interval.high)
    assert swapped.change.interval.high == pytest.approx(-found.change.interval.low)
    assert swapped.p_value == found.p_value


def test_holm_counts_every_task_of_the_comparison() -> None:
    # 12 lost and 2 gained: p = 0.013, which four tests leave at 0.05 and five do not.
    doubtful = task(both=68, lost=12, gained=2, wrong=18)
    kept = [task(f"kept {i}", both=398, lost=1, gained=1, wrong=100) for i in range(9)]
    alone = judge([doubtful], budget=0.02)[0]
    among = judge([doubtful, *kept], budget=0.02)[0]
    assert alone.p_value == among.p_value == mcnemar(12, 2)
    assert (alone.verdict, among.verdict) == ("lost", "inconclusive")
    assert among.p_adjusted == pytest.approx(10 * mcnemar(12, 2))
    assert among.items_needed is not None
    assert among.items_needed > 100


@pytest.mark.parametrize("wrong", [2, 45, 84])
@pytest.mark.parametrize("flips", [(4, 0), (5, 0), (7, 1), (9, 2), (11, 3), (12, 4)])
def test_what_these_items_did_not_decide_takes_more_of_them(
    flips: tuple[int, int], wrong: int
) -> None:
    """Few flips, which an exact test takes for less than the normal curve does."""
    lost, gained = flips
    found = verdict(task(lost=lost, gained=gained, wrong=wrong), budget=0.001, describe=True)
    assert found.items_needed is None or found.items_needed > found.items


@pytest.mark.parametrize("others", [0, 4])
@pytest.mark.parametrize("flips", [(4, 0), (7, 1), (11, 3), (12, 4), (60, 40)])
def test_so_many_items_of_the_same_kind_decide_and_clearly_fewer_do_not(
    flips: tuple[int, int], others: int
) -> None:
    kept = [task(f"kept {n}", both=398, lost=1, gained=1, wrong=100) for n in range(others)]

    def judged(times: float) -> TaskVerdict:
        both, lost, gained, wrong = (round(times * number) for number in (200, *flips, 100))
        items = task(both=both, lost=lost, gained=gained, wrong=wrong)
        return judge([items, *kept], budget=0.005)[0]

    found = judged(1)
    assert found.items_needed is not None
    times = found.items_needed / found.items
    assert judged(1.15 * times).verdict == "lost"
    assert judged(0.65 * times).verdict == "inconclusive"


def test_the_reason_calls_a_gain_one_only_where_chance_does_not_explain_it() -> None:
    doubtful = task(both=560, gained=7, wrong=28)  # p = 0.016, and among five tests 0.078
    kept = [task(f"kept {n}", both=398, lost=1, gained=1, wrong=100) for n in range(4)]
    said = [
        judge([doubtful, *others], budget=0.02, describe=describe)[0].reason.partition(" ")[0]
        for others in ([], kept)
        for describe in (False, True)
    ]
    assert said == ["improved", "improved", "improved", "0.941"]
    by_chance = verdict(task(both=560, lost=2, gained=4, wrong=34))
    assert (by_chance.verdict, by_chance.reason.partition(" ")[0]) == ("kept", "0.937")


DESCRIBED = [
    (task(both=3940, lost=60, gained=20, wrong=980), "lost"),  # real, and a point at most
    (task(both=397, lost=2, gained=1, wrong=100), "kept"),
    (task(both=60, gained=12, wrong=28), "kept"),
    (task(both=110, lost=20, gained=20, wrong=350, chance=0.25), "at floor"),
    (task(both=2, lost=3, wrong=195), "at floor"),
    (task(both=40, wrong=1960), "kept"),  # two points above nothing can be lost, and were not
    (task(both=20, lost=20, wrong=1960), "lost"),
    (task(lost=5), "inconclusive"),
]


@pytest.mark.parametrize(("evidence", "word"), DESCRIBED)
def test_the_word_for_a_task_that_is_described(evidence: Evidence, word: str) -> None:
    assert verdict(evidence, budget=0.05, describe=True).verdict == word


def test_a_gain_is_described_as_one_only_if_it_is_real_among_all_tasks() -> None:
    """Twelve groups of five, half of them right before, of which six more gain an item each."""
    ids = [f"{group}/{item}" for group in "abcdefghijkl" for item in range(5)]
    before = {name: float(name[0] < "g") for name in ids}
    after = {name: float(before[name] or name.endswith("0")) for name in ids}
    groups = {name: name[0] for name in ids}
    grouped = Evidence("law", "accuracy", Cell(before), Cell(after), groups=groups)
    other = task("other", both=500, wrong=100)
    held = judge([grouped, other], budget=0.05)[0]
    told = judge([grouped, other], budget=0.05, describe=True)[0]
    assert held.p_value == 2 * 0.5**6
    assert held.p_adjusted == 4 * 0.5**6
    assert (held.verdict, told.verdict) == ("kept", "inconclusive")


def test_a_loss_must_be_larger_than_the_budget_as_measured() -> None:
    evidence = task(both=330, lost=70, gained=12, wrong=88)  # 11.6 points
    assert verdict(evidence, budget=0.115).verdict == "lost"
    assert verdict(evidence, budget=0.12).verdict == "inconclusive"
    assert verdict(evidence, budget=0.2).verdict == "kept"


def test_a_loss_of_just_the_budget_is_not_more_than_the_budget() -> None:
    found = verdict(task(both=780, lost=20, wrong=200))  # 0.8 - 0.78 is a little more than 0.02
    assert found.verdict == "inconclusive"
    assert found.items_needed is None


def test_missing_items_are_counted_and_never_wrong() -> None:
    before, after = cell("1" * 900), cell("1" * 895 + "x" * 5)
    found = verdict(Evidence("law", "accuracy", before, after))
    assert (found.items, found.missing) == (895, 5)
    assert found.after.value == 1.0
    assert found.verdict == "at ceiling"
    assert "5 items without an answer left out" in found.reason


@pytest.mark.parametrize(("lost", "answered"), [(0, 295), (0, 1995), (-40, 1900)])
def test_items_without_an_answer_may_all_have_been_lost(lost: int, answered: int) -> None:
    # of 300, of 2,000, and beside a sure gain: 5, 5 and 100 were not answered
    missing = 100 if lost else 5
    before = "1" * (answered + missing + lost) + "0" * -lost
    after = "1" * answered + "x" * missing
    items = Evidence("law", "accuracy", cell(before[::-1]), cell(after))
    found = verdict(items, budget=0.02)
    if answered == 1995:  # 0.2 points that were not seen, and 0.3 of no answer
        assert found.verdict == "at ceiling"
    else:
        assert found.verdict == "inconclusive"
        assert f"not for certain if {missing} items without an answer had been lost" in found.reason
        assert found.items_needed is None


def test_log_likelihoods_have_no_bound_and_those_not_found_are_left_out() -> None:
    rng = np.random.default_rng(0)
    before = -rng.random(100)
    after = list(before[:96] - 0.01 + 0.001 * rng.standard_normal(96))  # four have none
    found = verdict(nats(before, after))
    assert (found.verdict, found.missing) == ("kept", 4)


def test_too_many_missing_items_fail_the_task_and_are_no_test() -> None:
    broken = Evidence("broken", "accuracy", cell("1" * 100), cell("0" * 94 + "x" * 6))
    doubtful = task(both=68, lost=12, gained=2, wrong=18)
    failed, other = judge([broken, doubtful], budget=0.02)
    assert failed.verdict == "failed"
    assert failed.p_value is None
    assert "6 of 100 items (6.0%) were not answered by both models" in failed.reason
    assert other.p_adjusted == other.p_value
    assert judge([broken], budget=0.02, most_missing=0.06)[0].verdict == "lost"


def test_a_task_that_nobody_answered_has_failed() -> None:
    found = verdict(Evidence("law", "accuracy", cell("xx"), cell("11")))
    assert found.verdict == "failed"
    assert found.change.value is None
    assert verdict(Evidence("law", "accuracy", Cell({}), Cell({}))).reason == "no item was asked"


def test_a_fall_from_guessing_to_nothing_is_no_floor_but_may_be_no_loss_of_knowledge() -> None:
    found = verdict(task(lost=80, wrong=220, chance=0.25))
    assert found.verdict == "inconclusive"
    assert "to be sure that anything was known, but fell from 0.267 to 0.00, a loss" in found.reason
    assert found.items_needed is None  # what is not known before, more items after do not tell
    assert found.p_adjusted is not None
    assert found.p_adjusted < 0.001
    within = verdict(task(lost=80, wrong=220, chance=0.25), budget=0.3)
    assert within.verdict == "at floor"
    assert within.reason.endswith("0.00 after is worse than guessing: see its answers")


def test_a_task_whose_easy_part_is_known_is_no_guess() -> None:
    # Of five levels the first is known, and all else guessed at 1/4: 0.40 of 100 in all.
    known, guessed = "1" * 20, "1000" * 20
    parts = {f"q{n}": f"level{n // 20}" for n in range(100)}
    graded = Evidence("law", "accuracy", cell(known + guessed), cell("0" * 20 + guessed),
                      chance=0.25, parts=parts)  # fmt: skip
    assert verdict(graded).verdict == "lost"
    assert verdict(replace(graded, parts={})).verdict == "inconclusive"


def test_a_certain_fall_to_guessing_does_not_pass_for_a_floor() -> None:
    found = verdict(task(both=65, lost=37, gained=10, wrong=188, chance=0.25))  # 0.34 to 0.25
    assert found.verdict == "inconclusive"
    assert found.p_value == mcnemar(37, 10)
    assert "worse than guessing" not in found.reason
    mild = verdict(task(both=90, lost=12, gained=10, wrong=188, chance=0.25))
    assert mild.verdict == "at floor"
    assert mild.reason.endswith("so no loss can be seen")


def test_a_task_that_rose_from_the_floor_is_said_to_have_gained() -> None:
    found = verdict(task(gained=30))
    assert (found.verdict, found.rose_from_floor) == ("at floor", True)
    assert found.reason.startswith("rose from 0.00 to 1.00")
    assert found.reason.endswith("30 items; the model before had too little to lose for a loss to "
                                 "be seen")  # fmt: skip
    assert not verdict(task(gained=2, wrong=28)).rose_from_floor


@pytest.mark.parametrize("others", [0, 4])
@pytest.mark.parametrize("right", [8, 18, 43])
def test_so_many_items_as_are_said_to_decide_on_a_single_flip_decide(
    right: int, others: int
) -> None:
    kept = [task(f"kept {n}", both=398, lost=1, gained=1, wrong=100) for n in range(others)]

    def judged(times: int) -> TaskVerdict:
        return judge([task(both=right * times, lost=times), *kept], budget=0.02)[0]

    one = judged(1)
    assert (one.verdict, one.p_value) == ("inconclusive", 1.0)
    assert one.items_needed is not None
    times = one.items_needed // one.items  # of the same kind
    assert judged(times).verdict == "lost"
    assert judged(times - 1).verdict == "inconclusive"


def test_a_rise_from_the_floor_is_no_gain_if_items_without_an_answer_may_have_been_lost() -> None:
    told = verdict(Evidence("law", "accuracy", cell("0" * 100), cell("1" * 8 + "0" * 92)))
    assert told.rose_from_floor
    hidden = Evidence(
        "law", "accuracy", cell("x" * 5 + "0" * 95), cell("0" * 5 + "1" * 8 + "0" * 87)
    )
    assert not verdict(hidden).rose_from_floor
    assert fate_of(verdict(hidden, describe=True, most_missing=1.0), 0.95) == "at floor"


def test_little_to_lose_does_not_hide_a_fall_below_it() -> None:
    # Surely above chance, but by less than the budget; then all is lost.
    evidence = task(lost=600, wrong=400, chance=0.5)
    assert verdict(evidence, budget=0.15).verdict == "lost"
    same = task(both=590, lost=10, gained=10, wrong=390, chance=0.5)
    assert verdict(same, budget=0.15).verdict == "at floor"


def test_chance_may_differ_by_item() -> None:
    evidence = task(both=30, wrong=70)
    chance = {f"q{i}": 0.5 if i % 2 else 0.25 for i in range(100)}
    found = verdict(replace(evidence, chance=chance))
    assert found.chance == 0.375
    assert found.verdict == "at floor"


def test_log_likelihoods_have_the_budget_in_nats_or_one_of_their_own() -> None:
    rng = np.random.default_rng(0)
    before = -2 - rng.random(300)
    noise = 0.1 * rng.standard_normal(300)
    assert verdict(nats(before, before - 0.2 + noise)).verdict == "lost"
    assert verdict(nats(before, before - 0.2 + noise), nats_budget=0.3).verdict == "kept"
    assert verdict(nats(before, before + noise)).verdict == "kept"
    few = verdict(nats(before[:10], before[:10] - 0.04 + noise[:10]))
    assert few.verdict == "inconclusive"
    assert few.budget == 0.02  # as the scores
    assert few.flips is None


def test_log_likelihoods_of_which_none_changed_are_kept() -> None:
    found = verdict(nats([-1.0, -2.0], [-1.0, -2.0]))
    assert found.verdict == "kept"
    assert found.p_value == 1.0
    assert "not one item changed" in found.reason


def test_graded_scores_are_tested_by_swapping_signs() -> None:
    rng = np.random.default_rng(1)
    before = rng.random(200)
    evidence = Evidence("f1", "accuracy", cell(list(before)), cell(list(0.8 * before)))
    found = verdict(evidence)
    assert found.verdict == "lost"
    assert found.flips is None
    assert found.p_value == 1 / 10_000  # the least that 9,999 drawn swaps can give


def test_many_graded_tasks_get_swaps_enough_for_holm() -> None:
    rng = np.random.default_rng(1)
    before = rng.random(100)
    graded = [
        Evidence(f"f1 {i}", "accuracy", cell(list(before)), cell(list(0.5 * before)))
        for i in range(30)
    ]
    assert {found.verdict for found in judge(graded, budget=0.02, draws=50)} == {"lost"}


def test_flips_without_a_loss_are_counted_beside_the_raw_ones() -> None:
    evidence = task(both=330, lost=70, gained=12, wrong=88)
    other = task(both=390, lost=10, gained=12, wrong=88).after  # 22 flip
    third = task(both=380, lost=20, gained=22, wrong=78).after  # 42 flip
    found = verdict(replace(evidence, null=[other, third], how="choices permuted"))
    assert found.null is not None
    assert (found.null.lost, found.null.gained) == (15.0, 17.0)
    assert (found.null.items, found.null.ways) == (500, 2)
    assert found.excess_losses == 70 - 15
    flips = (
        "70 lost and 12 gained of 500 items (the model before itself, choices permuted: 15 and 17)"
    )
    assert flips in found.reason
    assert "about 55 losses more than it has by itself" in found.reason


def test_a_model_that_only_loses_when_asked_otherwise_excuses_as_many_losses() -> None:
    evidence = task(both=40, lost=60, gained=0, wrong=0)
    otherwise = task(both=62, lost=38, gained=0, wrong=0).after
    found = verdict(replace(evidence, null=[otherwise], how="wording changed"))
    assert found.excess_losses == 60 - 38  # not 60 - 38/2


def test_flips_of_the_model_before_stand_beside_the_raw_ones_in_every_reason() -> None:
    evidence = task(both=480, lost=8, gained=8, wrong=4)
    found = verdict(replace(evidence, null=[task(both=470, lost=18, gained=9, wrong=3).after]))
    assert found.verdict != "lost"
    assert (
        "8 lost and 8 gained of 500 items (the model before itself, asked otherwise: 18 and 9)"
        in (found.reason)
    )


def test_graded_answers_have_no_null_of_flips() -> None:
    evidence = Evidence("f1", "accuracy", cell([0.5] * 9), cell([0.5] * 9), null=[cell([0.4] * 9)])
    found = verdict(evidence)
    assert found.null is None
    assert found.excess_losses is None


def test_the_reason_of_a_loss_tells_its_figures() -> None:
    found = verdict(task(both=330, lost=70, gained=12, wrong=88))
    assert found.reason.startswith("fell from 0.80 to 0.684, a loss of 0.116 (95% limits of the ")
    assert "more than the budget of 0.02; 70 lost and 12 gained of 500 items" in found.reason
    assert found.reason.endswith("adjusted p < 0.001")


def test_the_reason_of_what_was_kept_tells_the_most_that_can_be_lost() -> None:
    """Of items of which none changed, 1 - 0.025 ** (1 / 2000) = 0.0018 at most are others."""
    found = verdict(task(both=1500, wrong=500), budget=0.05)
    assert found.reason == (
        "0.75 before and 0.75 after: at most 0.002 lost (95% limits of the change −0.002 to "
        "+0.002), within the budget of 0.05; 0 lost and 0 gained of 2,000 items"
    )


@pytest.mark.parametrize(
    ("evidence", "told"),
    [
        (task(both=3940, lost=60, gained=20, wrong=980), "real but small"),
        (task(both=350, gained=30, wrong=120), "improved from 0.70 to 0.76"),
        (task(both=380, lost=20, gained=14, wrong=86), "cannot be excluded"),
        (task(both=75, lost=7, gained=3, wrong=15), "chance could explain"),
        (task(both=10, lost=3, gained=5, wrong=12), "cannot be excluded"),
        (task(both=970, lost=17, gained=3, wrong=10), "which is real, but it may be within"),
        (task(both=499, lost=1), "too easy for both models"),
        (task(both=110, lost=20, gained=20, wrong=350, chance=0.25), "guessing scores 0.25"),
        (task(both=2, lost=3, wrong=195), "so few of 200 items are right"),
    ],
)
def test_every_verdict_says_why(evidence: Evidence, told: str) -> None:
    assert told in verdict(evidence).reason


def test_an_audit_of_a_model_against_itself_rarely_says_lost() -> None:
    """60 audits of four tasks: any "lost" in at most three, up to noise."""
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(60):
        evidence = []
        for i in range(4):
            know = rng.random(100)
            rows = [(rng.random(100) < know).astype(float).tolist() for _ in range(2)]
            evidence.append(Evidence(f"t{i}", "accuracy", cell(rows[0]), cell(rows[1])))
        wrong += any(found.verdict == "lost" for found in judge(evidence, budget=0.0, draws=50))
    assert wrong <= 5


def test_the_same_seed_gives_the_same_verdicts() -> None:
    evidence = task(both=60, lost=12, gained=3, wrong=25)
    assert verdict(evidence, seed=3) == verdict(evidence, seed=3)
    assert verdict(evidence, seed=3).change != verdict(evidence, seed=4).change


def test_ten_tasks_of_500_items_are_judged_in_a_second_of_cpu() -> None:
    evidence = [task(f"t{i}", both=330, lost=70, gained=12, wrong=88) for i in range(10)]
    start = time.process_time()
    judge(evidence, budget=0.02)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"budget": -0.1}, "budget is -0.1,"),
        ({"nats_budget": -1.0}, "nats_budget -1,"),
        ({"most_missing": 5.0}, "most_missing 5;"),
        ({"most_missing": -0.1}, "most_missing -0.1;"),
        ({"level": 95.0}, "level is 95, draws is 2000;"),
        ({"level": 0.0}, "level is 0, draws is 2000;"),
        ({"draws": 0}, "level is 0.95, draws is 0;"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="needed") as caught:
        verdict(task(both=3), **options)
    assert said in str(caught.value)


def test_percentages_are_refused() -> None:
    with pytest.raises(ValueError, match="divide it by 100"):
        verdict(Evidence("law", "accuracy", cell([80.0]), cell([60.0])))


def test_a_task_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="task 'law' is there 2 times"):
        judge([task(both=3), task(both=3)], budget=0.02)


def test_evidence_knows_its_flips_as_the_flips_do() -> None:
    evidence = Evidence("law", "accuracy", cell("110x1"), cell("0110x"))
    found = find_flips(evidence.before, evidence.after)
    assert (len(evidence.ids), evidence.missing) == (found.items, found.excluded) == (3, 2)
