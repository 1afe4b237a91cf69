"""The comment begins with the verdict, fits, and is nothing but what we wrote."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from forgetless.auditing.result import Audit
from forgetless.report.audit import render_audit_markdown
from forgetless.report.audit.markdown import MARK, MOST_BYTES

from .fake_audits import TUNED, all_kept, answers, audit, hostile, ids, task, verdict


def lines(found: Audit) -> list[str]:
    return render_audit_markdown(found).splitlines()


def large(tasks: int, items: int) -> Audit:
    """Many tasks, each of which was lost."""
    found = audit(later=False)
    names = [f"task number {i} with a rather long name" for i in range(tasks)]
    verdicts = tuple(
        verdict(name, "lost", 1.0, 0.0, lost=ids(name, 0, items), reason="lost " * 60)
        for name in names
    )
    return replace(
        found,
        tasks=tuple(task(name) for name in names),
        comparisons=(replace(found.comparisons[0], verdicts=verdicts),),
        items=tuple(
            item
            for name in names
            for item in answers(name, ["base", TUNED], [40, 0], said="| `x` " * 40)[:items]
        ),
    )


def test_the_verdict_comes_first() -> None:
    assert lines(all_kept())[0] == (
        "**Budget kept (exit code 0):** no task lost more than 5 points."
    )
    assert lines(audit())[0].startswith("**Budget broken (exit code 3):** tuned: facts and format ")


def test_every_task_has_a_row_with_its_verdict() -> None:
    text = render_audit_markdown(audit(later=False))
    assert (
        "| facts | 0.90 | 0.30 | −0.60 [−0.64 to −0.56] | 24 / 0 | "
        "2.5 and 1 of 40 (choices permuted) | **lost (knowledge)** |"
    ) in text
    assert "| prose (nats) | −2.31 | −2.29 | +0.02 [0.00 to +0.04] | — | — | kept |" in text
    assert "| languages | — | — | — | — | — | **failed** |" in text
    assert "| reading | 0.50 | 0.47 | −0.03 [−0.14 to +0.08] | 1 / 0 | " in text


def test_every_table_has_as_many_cells_in_each_row() -> None:
    for found in (audit(), hostile(), large(3, 40)):
        width = 0
        for line in lines(found):
            if not line.startswith("|"):
                width = 0
                continue
            cells = len(re.findall(r"(?<!\\)\|", line))
            assert cells == (width or cells)
            width = cells


def test_lost_items_are_folded_with_both_answers() -> None:
    text = render_audit_markdown(audit(later=False))
    assert "<summary>facts: 24 items lost</summary>" in text
    assert (
        "| `Q: what is facts number 12?` | `answer 12` | `base says 12` | `tuned says 12` |" in text
    )
    assert "4 more items in the HTML report." in text
    assert text.index("**lost (knowledge)**") < text.index("<details>")


def test_with_several_models_each_has_a_table() -> None:
    text = render_audit_markdown(audit())
    assert text.count("| Task | Before | After |") == 2
    assert "**tuned**: 8 tasks: 2 lost, 1 failed" in text
    assert "facts: 24 items lost by tuned" in text


def test_several_models_stand_beside_one_another_on_every_task() -> None:
    text = render_audit_markdown(audit())
    assert "| Task | base | tuned | later |" in text
    assert "| facts | 0.90 | 0.30, lost | 0.90, kept |" in text
    assert "| Task | base |" not in render_audit_markdown(audit(later=False))


def test_other_readings_and_drift_are_told() -> None:
    text = render_audit_markdown(audit(later=False))
    assert "<summary>Other readings of the same answers</summary>" in text
    assert "| facts | contains | 0.92 | 0.33 | −0.59 [−0.62 to −0.56] |" in text
    assert "| facts | nll (lower is better) | 0.60 | 2.40 |" in text
    assert "Predictions moved by, KL in nats per token: prose 0.0417." in text
    assert "Other readings" not in render_audit_markdown(all_kept())


def test_what_was_kept_needs_no_reason_and_no_advice() -> None:
    text = render_audit_markdown(all_kept())
    assert "Why" not in text
    assert "mend" not in text


@pytest.mark.parametrize(("tasks", "items"), [(3, 40), (20, 40), (60, 40), (400, 1), (3000, 0)])
def test_it_fits_into_a_comment(tasks: int, items: int) -> None:
    text = render_audit_markdown(large(tasks, items))
    assert len(text.encode()) <= MOST_BYTES < 65_536
    assert text.endswith(f"{MARK}\n")
    assert text.count("<details>") == text.count("</details>")
    assert text.startswith("**Budget broken")


def test_fewer_items_are_told_before_a_row_is_left_out() -> None:
    text = render_audit_markdown(large(60, 40))
    assert len(re.findall(r"^\| task number \d+ .*\*\*lost\*\*", text, re.M)) == 60


def test_nothing_from_outside_becomes_markup() -> None:
    text = render_audit_markdown(hostile())
    assert len(text.encode()) <= MOST_BYTES
    bare = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)  # without code spans
    for sign in ("<script", "<img", "</textarea", "</details> ["):
        assert sign not in bare.replace("\\<", "")
    assert not re.search(r"(?<![\\`])@(?!<!-- -->)everyone", bare)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\ud800-\udfff]", text)
    assert text.count("<details>") == text.replace("\\</details", "").count("\n</details>")
