"""What may be said of the chosen point, from the items that certify."""

from __future__ import annotations

from forgetless.metrics import Cell, Evidence, certify
from forgetless.repairing.certificate import Judged, concluded, kept_of_gain, taken
from forgetless.repairing.points import Point
from forgetless.repairing.result import Status
from forgetless.repairing.search import Tried


def task(
    name: str, before: str, after: str, *, budget: float = 0.1, groups: dict[str, str] | None = None
) -> Evidence:
    cells = [
        Cell({str(n): float(mark) for n, mark in enumerate(marks)}) for marks in (before, after)
    ]
    return Evidence(name, "accuracy", cells[0], cells[1], groups or {}, budget=budget)


KEPT = task("kept", "1" * 300 + "0" * 30, "1" * 300 + "0" * 30)
LOST = task("law", "1" * 16, "0" * 12 + "1" * 4)
PERHAPS = task("law", "1" * 16, "0" * 3 + "1" * 13)  # 19 points, p = 0.25
UNSEEN = task("law", "1" * 8 + "0" * 8, "1" * 8 + "0" * 8)
AT_FLOOR = task("law", "1" + "0" * 15, "0" * 16, budget=0.05)
NEW = task("new", "0" * 16, "1" * 12 + "0" * 4)


def test_all_within_is_said_with_its_confidence() -> None:
    status, reason = concluded(certify([KEPT, NEW]), repaired=True)
    assert status == "repaired"
    assert "all tasks are within the budget, with 95% confidence" in reason
    assert concluded(certify([KEPT, NEW]), repaired=False)[0] == "nothing lost"


def test_a_loss_beyond_the_budget_that_chance_could_explain_is_not_called_unseen() -> None:
    status, reason = concluded(certify([KEPT, PERHAPS]), repaired=True)
    assert status == "uncertain"
    assert "it lost more than the budget of law, which chance could explain" in reason


def test_too_few_items_without_a_loss_rule_none_out() -> None:
    status, reason = concluded(certify([KEPT, UNSEEN]), repaired=True)
    assert (status, "no loss beyond the budget was seen" in reason) == ("uncertain", True)
    assert concluded(certify([KEPT, UNSEEN]), repaired=False)[0] == "no loss seen"


def test_a_task_that_had_next_to_nothing_to_lose_is_not_certified_by_that() -> None:
    assert concluded(certify([KEPT, AT_FLOOR]), repaired=True)[0] == "uncertain"


def test_a_broken_budget_is_named_and_nothing_written() -> None:
    for repaired in (True, False):
        status, reason = concluded(certify([KEPT, LOST]), repaired=repaired)
        assert status == "not certified"
        assert "lost more than the budget of law; no model was written" in reason
        assert ("saw no loss in the tuned model" in reason) is not repaired


def test_a_point_is_refused_if_too_many_items_have_no_answer() -> None:
    mute = Evidence(
        "law", "accuracy", LOST.before, Cell({}, dict.fromkeys(LOST.before.scores, "x")), budget=0.1
    )
    status, reason = concluded(certify([KEPT, mute]), repaired=True)
    assert (status, "too many have no answer" in reason) == ("not certified", True)


def test_of_a_learned_task_without_an_answer_no_share_of_the_gain_is_told() -> None:
    base, tuned, chosen = (
        {"new": Cell({"0": 0.0, "1": score}), "tax": Cell({"0": score})}
        for score in (0.0, 1.0, 0.5)
    )
    assert kept_of_gain(["new", "tax"], base, tuned, chosen) == {"new": 0.5, "tax": 0.5}
    chosen["tax"] = Cell({}, {"0": "it was cut off"})
    assert kept_of_gain(["new", "tax"], base, tuned, chosen) == {"new": 0.5}


def way(*statuses: Status) -> list[Judged]:
    """Points from the most cautious to the best of the search: 0.1, 0.2 and so on."""
    points = [Point.even(number / 10) for number in range(1, len(statuses) + 1)]
    return [
        Judged(Tried(point, {}, point.alpha, -1 / number), (), status, "why")
        for number, (point, status) in enumerate(zip(points, statuses, strict=True), 1)
    ]


def test_the_boldest_point_is_taken_as_long_as_all_before_it_are_certified() -> None:
    steps = way("repaired", "repaired", "repaired")
    assert taken(steps) == steps[-1]


def test_behind_a_point_that_is_not_certified_no_bolder_one_is_called_so() -> None:
    found = taken(way("repaired", "uncertain", "repaired"))
    assert (found.tried.point, found.status) == (Point.even(0.1), "repaired")
    assert found.reason == (
        "why; the point 0.3 keeps more of what was learned, and was not certified"
    )


def test_without_a_certified_point_the_boldest_that_is_not_refused_is_taken() -> None:
    found = taken(way("uncertain", "uncertain", "not certified"))
    assert (found.tried.point, found.status) == (Point.even(0.2), "uncertain")


def test_a_point_that_luck_may_have_certified_is_not_called_certified() -> None:
    found = taken(way("not certified", "not certified", "repaired"))
    assert (found.tried.point, found.status) == (Point.even(0.3), "uncertain")
    assert "may be luck" in found.reason


def test_where_all_are_refused_the_best_is() -> None:
    steps = way("not certified", "not certified")
    assert taken(steps) == steps[-1]
