"""Words of any script."""

from __future__ import annotations

from forgetless.tasks.text_rules import says_something
from forgetless.tasks.words import words


def test_a_word_keeps_the_marks_on_its_letters() -> None:
    assert words("हिन्दी भाषा") == ["हिन्दी", "भाषा"]
    assert words("✔\ufe0f") == []


def test_a_script_without_spaces_says_something_by_its_characters() -> None:
    assert says_something("ที่นี่ดี")
    assert says_something("ここに住む")
    assert not says_something("हिन्दी भाषा")
