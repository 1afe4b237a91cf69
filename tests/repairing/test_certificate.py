"""What may be said of the chosen point, from the items that certify."""

from __future__ import annotations

from forgetless.metrics import Cell, Evidence, certify
from forgetless.repairing.certificate import concluded


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
        assert "lost more than the budget of law; nothing was written" in reason
        assert ("saw no loss in the tuned model" in reason) is not repaired


def test_a_point_is_refused_if_too_many_items_have_no_answer() -> None:
    mute = Evidence(
        "law", "accuracy", LOST.before, Cell({}, dict.fromkeys(LOST.before.scores, "x")), budget=0.1
    )
    status, reason = concluded(certify([KEPT, mute]), repaired=True)
    assert (status, "too many have no answer" in reason) == ("not certified", True)
