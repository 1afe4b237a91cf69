"""What the page says of an audit outside its tables."""

from __future__ import annotations

from dataclasses import replace

from forgetless.report.audit.rows import model_pairs

from .fake_audits import all_kept, subject


def test_a_judge_stands_beside_the_models_that_it_judged() -> None:
    found = model_pairs(replace(all_kept(), judge=subject("judge", "endpoint")))
    assert [title for title, _ in found] == ["Before: base", "After: tuned", "Judge"]
    assert found[-1][1] == [
        ("name", "models/judge"),
        ("kind", "endpoint"),
        ("dtype", "float32"),
        ("device", "cpu"),
        ("identity", "judge-9f2b1c"),
    ]
