"""What is recommended is better than plain training for certain, and no dearer than need be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from forgetless.comparing.recommendation import recommend
from forgetless.comparing.result import ArmResult
from forgetless.metrics import Figure, Interval

NONE = Figure(None, None, "not measured")


def figure(value: float, low: float, high: float) -> Figure:
    return Figure(value, Interval(low, high, 0.95, "exact"), None)


def arm(name: str, accuracy: float, **more: Any) -> ArmResult:
    gain = accuracy - 0.3
    known: dict[str, Any] = {
        "rate": 1e-3,
        "failed": None,
        "cost": 1.0,
        "gain": figure(gain, gain - 0.1, gain + 0.1),
        "to_best": figure(accuracy - 0.9, accuracy - 1.0, accuracy - 0.8),
        "forgetting": NONE,
        "gap_closed": NONE,
        "elsewhere": NONE,
        "over_budget": NONE,
        "nearer": NONE,
        "at_edge": False,
        "by_seed": {},
    }
    return ArmResult(
        name=name, methods=(), options={}, tried=(), run="", learned=NONE,
        memory=None, replay_share=0.0, accuracy=figure(accuracy, 0, 1), **{**known, **more},
    )  # fmt: skip


PLAIN, JOINT = arm("sequential", 0.3), arm("joint", 1.0)


def test_an_undecided_comparison_says_how_many_items_would_decide() -> None:
    near = arm("kl", 0.35, gain=figure(0.05, -0.05, 0.15))
    name, why = recommend([PLAIN, JOINT, near], items=40)
    assert name is None
    # the interval must be half as long: four times the items
    assert "; about 160 items would decide, these figures rest on 40." in why[0]


def test_no_number_of_items_is_named_that_would_show_a_gain_where_there_is_none() -> None:
    worse = arm("kl", 0.28, gain=figure(-0.02, -0.12, 0.08))
    assert "would decide" not in recommend([PLAIN, JOINT, worse], items=40)[1][0]


def test_the_best_arm_is_taken_where_the_others_are_worse_for_certain() -> None:
    name, why = recommend([PLAIN, JOINT, arm("ewc", 0.7), arm("replay", 0.9)])
    assert name == "replay"
    assert why[0].startswith("Take replay at learning rate 0.001: it ends +0.60 (+0.50 to +0.70)")


def test_of_arms_that_cannot_be_told_apart_the_cheapest_is_taken() -> None:
    near = arm("ewc", 0.85, cost=1.05, to_best=figure(-0.05, -0.1, 0.02))
    name, why = recommend([PLAIN, JOINT, arm("replay", 0.9, cost=1.5), near])
    assert name == "ewc"
    assert any("replay ended at 0.90 against 0.85" in reason for reason in why)


@pytest.mark.parametrize(
    ("least", "cost", "taken"), [(1.0, 1.02, "kl"), (1.0, 1.03, "ewc"), (1.07, 1.08, "kl")]
)
def test_arms_that_cost_up_to_a_fiftieth_more_than_the_cheapest_cost_the_same(
    least: float, cost: float, taken: str
) -> None:
    cheapest = arm("ewc", 0.85, cost=least, to_best=figure(-0.05, -0.1, 0.02))
    better = arm("kl", 0.86, cost=cost, to_best=figure(-0.04, -0.1, 0.02))
    assert recommend([PLAIN, JOINT, arm("replay", 0.9, cost=1.5), cheapest, better])[0] == taken


def test_a_cheap_arm_that_is_not_better_than_plain_is_no_choice() -> None:
    cheap = arm("kl", 0.35, cost=0.9, to_best=figure(-0.5, -0.9, 0.1), gain=figure(0.05, -0.2, 0.3))
    name, why = recommend([PLAIN, JOINT, arm("replay", 0.9, cost=1.5), cheap])
    assert name == "replay"
    assert "Not better than plain training for certain: kl." in why


def test_nothing_is_recommended_that_is_not_better_than_plain_for_certain() -> None:
    weak = arm("kl", 0.35, gain=figure(0.05, -0.1, 0.2), to_best=figure(0, 0, 0))
    name, why = recommend([PLAIN, JOINT, weak])
    assert name is None
    assert why[0] == (
        "No protection is better than plain training for certain; the nearest is kl "
        "(+0.05 (−0.10 to +0.20))."
    )


def test_a_loss_elsewhere_and_an_edge_are_told_after_the_verdict() -> None:
    broken = replace(arm("si", 0.0), failed="the loss became nan", accuracy=NONE, gain=NONE)
    taken = arm("replay", 0.9, elsewhere=figure(-0.2, -0.3, -0.1), at_edge=True)
    _, why = recommend([PLAIN, JOINT, taken, broken])
    assert why[0].startswith("Take replay")  # the verdict; a failure is told beside the table
    assert not any("si" in reason.split() or "nan" in reason for reason in why)
    assert "It lost 0.20 on the tasks that are only tested." in why
    plain = replace(PLAIN, elsewhere=figure(-0.5, -0.6, -0.4))
    _, why = recommend([plain, JOINT, taken])
    assert "It lost 0.20 on the tasks that are only tested (plain training: 0.50)." in why
    assert any("replay is at the edge" in reason for reason in why)


def test_without_any_protection_measured_there_is_no_recommendation() -> None:
    assert recommend([PLAIN, JOINT])[0] is None


def test_several_seeds_are_told_with_what_came_of_them() -> None:
    best = arm("replay", 0.9, by_seed={1: 0.85, 2: 0.95})
    *_, last = recommend([PLAIN, JOINT, best], seeds=2)[1]
    assert last.startswith("This rests on 2 training seeds, none of which chose, from 0.85 to 0.95")


def test_a_budget_goes_before_what_was_learned() -> None:
    better = arm("replay", 0.9, over_budget=figure(0.1, 0.0, 0.2), to_best=figure(0.2, 0.1, 0.3))
    keeps = arm("ewc", 0.7, over_budget=figure(-0.01, -0.1, 0.1), to_best=figure(0.0, 0.0, 0.0))
    name, why = recommend([PLAIN, JOINT, better, keeps], budget="2%")
    assert name == "ewc"
    assert why[1].startswith("Within the budget of 2% on these items: ewc. No run here was steered")


def test_where_nothing_keeps_the_budget_the_best_is_told_with_what_it_lost_beyond() -> None:
    over = arm("replay", 0.9, over_budget=figure(0.1, 0.0, 0.2))
    name, why = recommend([PLAIN, JOINT, over], budget="2%")
    assert name == "replay"
    assert why[1].startswith(
        "No protection kept the budget of 2% on these items; replay lost 0.10 more than it on one"
    )


def test_to_keep_a_budget_that_plain_training_breaks_is_reason_enough() -> None:
    gain = {"gain": figure(-0.02, -0.1, 0.1), "over_budget": figure(-0.02, -0.1, 0.0),
            "nearer": figure(0.52, 0.42, 0.62)}  # fmt: skip
    broken = replace(PLAIN, over_budget=figure(0.5, 0.4, 0.6))
    name, why = recommend([broken, JOINT, arm("kl", 0.28, **gain)], budget="2%")
    assert name == "kl"
    assert why[0] == (
        "Take kl at learning rate 0.001: it kept the budget on these items, as plain training did "
        "not (+0.52 (+0.42 to +0.62) nearer to it), and ends −0.02 (−0.10 to +0.10) beside it on "
        "average."
    )
    sound = replace(PLAIN, over_budget=figure(-0.02, -0.1, 0.0))
    assert recommend([sound, JOINT, arm("kl", 0.28, **gain)], budget="2%")[0] is None


def test_to_keep_a_budget_by_luck_is_no_reason() -> None:
    same = {"gain": figure(0.0, -0.07, 0.08), "over_budget": figure(-0.01, -0.05, 0.03),
            "nearer": figure(0.02, -0.03, 0.07)}  # fmt: skip
    broken = replace(PLAIN, over_budget=figure(0.01, -0.03, 0.05))
    name, why = recommend([broken, JOINT, arm("kl", 0.3, **same)], budget="2%")
    assert name is None
    assert why[0].startswith("No protection is better than plain training for certain")
    assert (
        "That kl kept the budget on these items, and plain training did not, may be luck "
        "(+0.02 (−0.03 to +0.07) nearer to it)." in why
    )
    unknown = replace(PLAIN, over_budget=NONE)  # nothing is known of plain training's
    _, why = recommend([unknown, JOINT, arm("kl", 0.3, **same)], budget="2%")
    assert not any("luck" in reason for reason in why)


def test_a_budget_kept_for_certain_goes_before_one_that_a_cheaper_arm_kept_by_luck() -> None:
    unsure = {"gain": figure(0.05, -0.05, 0.15), "over_budget": figure(-0.01, -0.02, 0.0)}
    sure = arm("replay", 0.36, cost=1.5, nearer=figure(0.21, 0.1, 0.3), **unsure)
    near = {"to_best": figure(-0.01, -0.1, 0.1), **unsure}
    lucky = arm("ewc", 0.35, nearer=figure(0.2, -0.01, 0.3), **near)
    broken = replace(PLAIN, over_budget=figure(0.2, 0.1, 0.3))
    name, why = recommend([broken, JOINT, sure, lucky], budget="2%")
    assert name == "replay"
    assert why[0].startswith("Take replay at learning rate 0.001: it kept the budget")
    best = replace(lucky, accuracy=figure(0.37, 0, 1), to_best=figure(0, 0, 0))
    sure = replace(sure, to_best=figure(-0.01, -0.1, 0.1))
    name, why = recommend([broken, JOINT, sure, best], budget="2%")
    assert name == "replay"
    assert (
        "ewc ended at 0.37 against 0.36, which these items cannot tell apart, and may be no "
        "better than plain training." in why
    )


def test_a_budget_kept_for_certain_goes_before_a_certain_gain_that_may_have_kept_it_by_luck() -> (
    None
):
    kept = {"over_budget": figure(-0.01, -0.02, 0.0)}
    sure = arm("replay", 0.86, cost=1.5, nearer=figure(0.21, 0.1, 0.3), **kept)
    lucky = arm(
        "ewc", 0.85, nearer=figure(0.05, -0.01, 0.1), to_best=figure(-0.01, -0.1, 0.1), **kept
    )
    broken = replace(PLAIN, over_budget=figure(0.2, 0.1, 0.3))
    name, why = recommend([broken, JOINT, sure, lucky], budget="2%")
    assert name == "replay"
    assert not any("luck" in reason for reason in why)
    best = replace(lucky, accuracy=figure(0.87, 0, 1))
    sure = replace(sure, to_best=figure(-0.01, -0.1, 0.1))
    name, why = recommend([broken, JOINT, sure, best], budget="2%")
    assert name == "replay"
    assert (
        "ewc ended at 0.87 against 0.86, which these items cannot tell apart, and may have kept "
        "the budget by luck." in why
    )
    name, why = recommend([broken, JOINT, lucky], budget="2%")  # its gain is reason enough
    assert name == "ewc"
    assert (
        "That ewc kept the budget on these items, and plain training did not, may be luck "
        "(+0.05 (−0.01 to +0.10) nearer to it)." in why
    )


def test_where_nothing_keeps_the_budget_what_is_cheaper_is_not_taken_if_it_lost_more() -> None:
    best = arm("ewc", 0.9, cost=1.5, over_budget=figure(0.1, 0.0, 0.2))
    near = {"cost": 1.0, "to_best": figure(-0.05, -0.1, 0.02)}
    worse = arm("replay", 0.85, over_budget=figure(0.3, 0.2, 0.4), **near)
    assert recommend([PLAIN, JOINT, best, worse], budget="2%")[0] == "ewc"
    assert recommend([PLAIN, JOINT, best, worse])[0] == "replay"  # nobody asked for a budget
    as_good = arm("replay", 0.85, over_budget=figure(0.1, 0.0, 0.2), **near)
    assert recommend([PLAIN, JOINT, best, as_good], budget="2%")[0] == "replay"


def test_that_plain_training_forgot_nothing_is_told() -> None:
    said = "Plain training did not measurably forget what it had learned (+0.05 ("
    for low, told in ((-0.1, True), (0.02, False)):
        plain = replace(PLAIN, forgetting=figure(0.05, low, 0.2))
        _, why = recommend([plain, JOINT, arm("replay", 0.9)])
        assert any(reason.startswith(said) for reason in why) is told
