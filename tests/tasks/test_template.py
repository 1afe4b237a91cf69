"""A chat template comes to an end and shows what is said, or is refused."""

from __future__ import annotations

import threading
import time

import pytest

from forgetless.errors import ModelError
from forgetless.tasks.template import check_template
from tests.tiny import build_tokenizer

LOOP = "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}"


def check(template: str) -> None:
    tokenizer = build_tokenizer()
    tokenizer.chat_template = template
    check_template(tokenizer)


def test_a_usual_template_is_taken() -> None:
    check(build_tokenizer().chat_template)


def test_a_template_without_end_is_refused_and_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forgetless.tasks.template.LONGEST", 0.3)
    before = threading.active_count()
    with pytest.raises(ModelError, match="does not come to an end") as refused:
        check(LOOP)
    assert "render: plain" in str(refused.value.fix)
    deadline = time.monotonic() + 60
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_a_template_that_shows_no_answer_is_refused() -> None:
    with pytest.raises(ModelError, match="leaves out what the assistant says"):
        check("{{ messages[0]['content'] }}")


def test_what_a_template_refuses_is_left_to_the_row_that_it_refuses() -> None:
    check("{{ raise_exception('a system turn is needed') }}")
