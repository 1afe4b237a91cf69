"""Holding an output against rules: the two readings, silence, and what an item's hash says."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetless.tasks.form_rules import (
    CellsEqual,
    CsvColumns,
    EntriesEqual,
    JsonEquals,
    JsonObject,
    Listing,
    ListOf,
    TableColumns,
    TextEquals,
    ValidJson,
)
from forgetless.tasks.refusal import Answers, Refuses
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.rules import Rule, check, loosened
from forgetless.tasks.text_rules import (
    Alphabet,
    BulletCount,
    EndsWith,
    EndsWithQuestion,
    Excludes,
    Includes,
    InScript,
    KeywordCount,
    LetterCount,
    LowerCase,
    NoCommas,
    NumberedCount,
    ParagraphCount,
    PlaceholderCount,
    Postscript,
    Quoted,
    RepeatsFirst,
    SentenceCount,
    SingleLine,
    StartsWith,
    Title,
    TwoAnswers,
    UpperCase,
    WordCount,
)

EVERY_RULE: tuple[Rule, ...] = (
    WordCount(3, 9), SentenceCount(1, 2), ParagraphCount(2), BulletCount(2), NumberedCount(2),
    StartsWith("Well then"), EndsWith("the end"), EndsWithQuestion(), Postscript(),
    Includes(("sun", "rain")), Excludes(("sun",)), KeywordCount("sun", 1, 2), LetterCount("z", 2),
    LowerCase(), UpperCase(), NoCommas(), Title(), Quoted(), SingleLine(), RepeatsFirst("Say."),
    TwoAnswers(), PlaceholderCount(1), ValidJson(), JsonObject((("a", "number"), ("b", "array"))),
    JsonEquals('{"a": [1, true, {"b": null}]}'), CsvColumns(2), CellsEqual("csv", (("a",), ("b",))),
    TableColumns(2), CellsEqual("table", (("a", "b"), ("1", "2"))), TextEquals("a b"),
    TextEquals("A b", any_case=True), Refuses(), Answers(),
    *(InScript(alphabet, "so") for alphabet in get_args(Alphabet)),
    *(ListOf(listing, 2) for listing in get_args(Listing)),
    *(EntriesEqual(listing, ("a", "b")) for listing in get_args(Listing)),
)  # fmt: skip


def subclasses(kind: type[Any]) -> set[type[Any]]:
    return {found for child in kind.__subclasses__() for found in {child, *subclasses(child)}}


def test_the_rules_tried_below_are_all_there_are() -> None:
    defined = {kind.__name__ for kind in subclasses(Rule)}
    assert {type(rule).__name__ for rule in EVERY_RULE} == defined


# pieces that rules look for, so that drawn texts reach their inner branches
PIECES = (
    *("- a\n", "1. a\n", "2) b\n", "|", "| a | b |\n", "|---|---|\n", "\n\n", "\n", ",", ";", '"'),
    *("<<", ">>", "[", "]", "[name]", "******", "*", "{", "}", '{"a": 1', "[1, 2]", "p.s. x", "?"),
    *("sun", "rain", "I'm sorry, but", "i can't", "Well then", "the end", "NaN", "1e999", "\\u12"),
    *("\ud800", "\x00", "\u2028", "ß", "İ", "ǅ", "你好", "かな", "́", " " * 50, "[" * 2000, '"a"'),
)


@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=12).map("".join)))
def test_no_rule_raises_whatever_a_model_says(output: str) -> None:
    found = check(EVERY_RULE, output)
    assert len(found.strict) == len(found.loose) == len(EVERY_RULE)
    for strict, loose in zip(found.strict, found.loose, strict=True):
        assert loose or not strict


@pytest.mark.parametrize("output", ["[" * 100_000, "9" * 5000, '{"a": ' * 20_000, "!" * 20_000])
def test_no_rule_raises_on_monstrous_output(output: str) -> None:
    assert len(check(EVERY_RULE, output).strict) == len(EVERY_RULE)


@pytest.mark.parametrize("output", ["", "   ", "\n\n", "...", "*** ***", '""', "{}", "—?", "，"])
def test_silence_meets_no_rule(output: str) -> None:
    found = check(EVERY_RULE, output)
    assert not any(found.strict)
    assert not any(found.loose)


@pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: type(rule).__name__)
def test_a_rule_words_itself_as_a_sentence(rule: Rule) -> None:
    assert rule.request()[0].isupper()
    assert rule.request().rstrip('"').endswith((".", "******", ">>."))


# The two readings


def test_the_strict_reading_wants_every_rule_and_the_share_counts_them() -> None:
    rules = (NoCommas(), WordCount(1, 3), EndsWithQuestion(), StartsWith("One"))
    found = check(rules, "One, two three?")
    assert found.strict == (False, True, True, True)
    assert found.readings == {"strict": 0.0, "loose": 0.0, "share": 0.75}
    assert check(rules, "One two three?").readings == {"strict": 1.0, "loose": 1.0, "share": 1.0}


@pytest.mark.parametrize(
    "output",
    [
        "Sure, here it is:\none two three",
        "one two three\nI hope this helps, friend",
        "Sure, here:\none two three\nThere, done",
        "*one* **two** three",
        "Sure, here:\n**one two three**",
    ],
)
def test_the_loose_reading_forgives_a_frame_and_asterisks(output: str) -> None:
    found = check((TextEquals("one two three"),), output)
    assert found.readings == {"strict": 0.0, "loose": 1.0, "share": 0.0}


def test_the_loose_reading_does_not_forgive_the_thing_itself() -> None:
    assert check((NoCommas(),), "a, b\nc, d\ne, f").readings["loose"] == 0.0


def test_each_rule_may_be_met_by_another_loose_form() -> None:
    rules = (StartsWith("Sure"), EndsWith("three"))
    assert check(rules, "Sure\none two three\nBye").readings["loose"] == 1.0


def test_the_eight_forms_of_ifeval_are_tried() -> None:
    forms = {"a*\nb\nc", *loosened("a*\nb\nc")}
    assert forms == {"a*\nb\nc", "b\nc", "a*\nb", "b", "a\nb\nc", "a\nb"}
    assert len(loosened("a*\nb\nc")) == 7


def test_an_item_without_rules_is_refused_not_met() -> None:
    with pytest.raises(ValueError, match="no rules"):
        check((), "anything")


# What an item's hash says


def row(*rules: Rule) -> Row:
    return Row("1", (Turn("user", "Say something."),), "gold", rules=rules)


def test_a_row_without_rules_keeps_its_hash() -> None:
    assert row().content_hash() == (
        "7204d15e93299977a1220872b33ab282073b4e0f8ef22cc253bd5d961ee43d20"
    )


def test_another_rule_another_bound_or_another_order_is_another_item() -> None:
    rows = [
        row(),
        row(WordCount(3)),
        row(WordCount(4)),
        row(SentenceCount(3)),
        row(WordCount(3), NoCommas()),
        row(NoCommas(), WordCount(3)),
    ]
    assert len({found.content_hash() for found in rows}) == len(rows)
    assert row(WordCount(3)).content_hash() == row(WordCount(3)).content_hash()
