"""A comparison as a page: what was given for what, and everything that was found."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from forgetless.comparing.result import ArmResult, Comparison, PointTried
from forgetless.metrics import Figure, Interval
from forgetless.report.comparison import (
    TerminalComparison,
    render_comparison_json,
    render_comparison_markdown,
)
from forgetless.report.html.comparison import render_comparison_html

NONE = Figure(None, None, "not measured")


def figure(value: float) -> Figure:
    return Figure(value, Interval(value - 0.1, value + 0.1, 0.95, "percentile bootstrap"), None)


def arm(name: str, learned: float | None, forgot: float | None, end: float) -> ArmResult:
    return ArmResult(
        name=name, methods=(), rate=1e-3, options={}, run=f"runs/{name}", failed=None,
        tried=(PointTried(1e-3, {}, end), PointTried(3e-3, {}, None, "diverged")), at_edge=False,
        accuracy=figure(end), by_seed={1: end - 0.05, 2: end + 0.05},
        learned=NONE if learned is None else figure(learned),
        forgetting=NONE if forgot is None else figure(forgot),
        gap_closed=figure(0.5), gain=figure(0.2), elsewhere=figure(-0.25), to_best=NONE,
        over_budget=NONE, nearer=NONE, cost=1.1, memory=None, replay_share=0.1,
    )  # fmt: skip


@pytest.fixture
def found() -> Comparison:
    return Comparison(
        model="m",
        tasks=("law", "tax"),
        arms=(
            arm("sequential", 0.9, 0.8, 0.3),
            arm("joint", None, None, 0.95),
            arm("replay", 0.92, 0.3, 0.6),
            arm("kl", 0.85, 0.5, 0.5),
            arm("<ewc>", 0.8, 0.1, 0.7),
        ),
        recommended="<ewc>",
        reasons=("Take <ewc>.", "It rests on two seeds."),
        items={"law": 20, "tax": 20},
        level=0.95,
        pilot=1.0,
        seeds=(1, 2),
        budget="",
        created="2026-01-01T00:00:00+00:00",
    )


def test_the_frontier_is_what_no_other_arm_beats_in_both(found: Comparison) -> None:
    assert [one.name for one in found.frontier] == ["replay", "<ewc>"]
    assert json.loads(render_comparison_json(found))["frontier"] == ["replay", "<ewc>"]
    assert "no other learned more and forgot less: replay, " in render_comparison_markdown(found)


def test_arms_that_came_to_the_same_are_on_the_frontier_together(found: Comparison) -> None:
    twin = replace(found, arms=(*found.arms, arm("replay twice", 0.92, 0.3, 0.6)))
    assert [one.name for one in twin.frontier] == ["replay", "replay twice", "<ewc>"]


def test_a_budget_is_told_with_what_each_arm_lost_beyond_it(found: Comparison) -> None:
    over = PointTried(3e-3, {}, 0.6, over=0.25)
    arms = tuple(
        replace(one, over_budget=figure(0.07), tried=(*one.tried, over)) for one in found.arms
    )
    with_budget = replace(found, arms=arms, budget="2%")
    for page, told in (
        (render_comparison_html(with_budget), "0.60, 0.25 over budget"),
        (render_comparison_markdown(with_budget), "| +0.07 ("),
    ):
        assert ", budget 2%" in page
        assert " Over: the largest loss" in page
        assert told in page
        assert "half on which forgetless run certifies the budget was left alone" in page
    for width, room in ((80, False), (120, True)):
        shown = Console(file=StringIO(), width=width)
        shown.print(TerminalComparison(with_budget))
        terminal = shown.file.getvalue()  # type: ignore[attr-defined]
        assert " over " in terminal
        assert ("elsewhere" in terminal) is room
    assert "| over |" not in render_comparison_markdown(found)


def test_the_page_shows_each_arm_and_the_frontier(found: Comparison) -> None:
    page = render_comparison_html(found)
    assert "<ewc>" not in page
    assert page.count('class="mark"') >= 2 + 5  # two on the frontier, and the legend of five
    assert page.count('class="mark hollow"') == 2
    assert page.count('class="taken"') == 2  # the ring, and the row of the table
    assert '<path d="M' in page
    assert "&lt;ewc&gt;: 0.80 learned, \N{MINUS SIGN}0.10 by the end, recommended." in page
    assert "seed 2" in page


def test_no_ring_is_explained_where_nothing_is_recommended(found: Comparison) -> None:
    assert "The ring marks" in render_comparison_html(found)
    assert "The ring marks" not in render_comparison_html(replace(found, recommended=None))


def test_joint_training_is_a_line_and_no_point(found: Comparison) -> None:
    page = render_comparison_html(found)
    assert page.count('class="reference"') == 1
    without = replace(found, arms=tuple(one for one in found.arms if one.name != "joint"))
    assert 'class="reference"' not in render_comparison_html(without)


def test_a_comparison_of_texts_alone_has_no_picture(found: Comparison) -> None:
    arms = tuple(replace(one, learned=NONE, forgetting=NONE, by_seed={}) for one in found.arms)
    page = render_comparison_html(replace(found, arms=arms))
    assert "Learned and forgotten" not in page
    assert "All figures" in page


def test_seeds_are_told_one_by_one_only_if_there_are_several(found: Comparison) -> None:
    assert "- replay: 0.55 (seed 1), 0.65 (seed 2)" in render_comparison_markdown(found)
    one = replace(found, seeds=(1,))
    assert "(seed 1)" not in render_comparison_markdown(one)
    assert "Seed by seed" not in render_comparison_html(one)
