"""What was lost and gained is that of the answers, item by item."""

from __future__ import annotations

from dataclasses import replace

from forgetless.report.audit.changes import changed_items, lost_by, unanswered

from .fake_audits import BASE, LATER, TUNED, all_kept, answers, audit


def test_lost_items_are_those_that_the_flips_name() -> None:
    found = audit()
    changes = changed_items(found)
    flips = {
        (comparison.after, verdict.task): verdict.flips.lost
        for comparison in found.comparisons
        for verdict in comparison.verdicts
        if verdict.flips is not None
    }
    assert any(flips.values())
    for (model, task), named in flips.items():
        assert tuple(item.item for item in lost_by(changes, model, task)) == named


def test_an_item_lost_by_one_model_shows_what_the_other_made_of_it() -> None:
    item = next(item for item in changed_items(audit()) if item.item == "facts-12")
    assert [(arm.title, arm.kind) for arm in item.arms] == [(TUNED, "lost"), (LATER, "right")]
    assert [arm.after.output for arm in item.arms] == ["tuned says 12", "later says 12"]
    assert {arm.before.output for arm in item.arms} == {"base says 12"}


def test_lost_stand_before_gained() -> None:
    found = all_kept()
    items = answers("arithmetic", [BASE, TUNED], [20, 20])
    items[0] = replace(items[0], scores={BASE: 0.0, TUNED: 1.0})
    items[9] = replace(items[9], scores={BASE: 1.0, TUNED: 0.0})
    changes = changed_items(replace(found, items=tuple(items)))
    assert [(i.item, i.arms[0].kind) for i in changes] == [
        ("arithmetic-9", "lost"),
        ("arithmetic-0", "gained"),
    ]


def test_the_words_around_every_item_are_left_out() -> None:
    assert changed_items(audit())[0].question == "Q: what is arithmetic number 28?"


def test_of_graded_scores_the_furthest_falls_are_told() -> None:
    prose = [item for item in changed_items(audit()) if item.task == "prose"]
    assert len(prose) == 10
    assert {arm.kind for item in prose for arm in item.arms} == {"fell", "rose"} or len(prose) == 10
    assert all(arm.kind in ("fell", "rose") for item in prose for arm in item.arms)


def test_an_item_without_an_answer_is_neither_lost_nor_gained() -> None:
    assert not [item for item in changed_items(audit()) if item.task == "languages"]
    (missing,) = unanswered(audit())
    assert (missing.task, missing.label, missing.items) == ("languages", TUNED, 40)


def test_reasons_that_differ_in_a_number_alone_are_told_once() -> None:
    found = audit()
    items = [
        replace(item, errors={TUNED: f"{300 + number} tokens are more than the context of 256"})
        for number, item in enumerate(found.items)
        if item.task == "languages"
    ]
    items[7] = replace(items[7], errors={TUNED: "the server answered 500 four times"})
    context, server = unanswered(replace(found, items=tuple(items)))
    assert (context.items, context.reason) == (39, "580 tokens are more than the context of 256")
    assert (server.items, server.reason) == (1, "the server answered 500 four times")
