"""Rules about JSON, CSV, tables and lists, each by hand-made texts that meet it or do not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetless.tasks.form_rules import (
    CellsEqual,
    CsvColumns,
    EntriesEqual,
    JsonEquals,
    JsonObject,
    ListOf,
    TableColumns,
    TextEquals,
    ValidJson,
)
from forgetless.tasks.rules import Rule, check

ADA = JsonObject((("name", "string"), ("age", "number"), ("member", "boolean"), ("tags", "array")))
ROWS = (("name", "age"), ("Ada", "34"), ("Ben, jr", "5"))
TABLE = "| name | age |\n| --- | --- |\n| Ada | 34 |\n| Ben, jr | 5 |"

CASES: list[tuple[Rule, list[str], list[str]]] = [
    (
        ValidJson(),
        ["[1]", ' {"a": null}\n'],
        ["1", '"a"', "[NaN]", "{'a': 1}", '{"a": 1, "a": 2}', "```json\n[1]\n```", "[1] yes"],
    ),
    (
        ADA,
        ['{"age": 3.5, "name": "Ada", "member": false, "tags": []}'],
        [
            '{"age": 34, "name": "Ada", "member": false}',
            '{"age": 34, "name": "Ada", "member": false, "tags": [], "x": 1}',
            '{"age": "34", "name": "Ada", "member": false, "tags": []}',
            '{"age": true, "name": "Ada", "member": false, "tags": []}',
            '{"age": 34, "name": "Ada", "member": 0, "tags": []}',
            '[{"age": 34, "name": "Ada", "member": false, "tags": []}]',
        ],
    ),
    (JsonObject((("o", "object"),)), ['{"o": {}}'], ['{"o": []}']),
    (
        JsonEquals('{"a": [1, true], "b": "x"}'),
        ['{"b":"x","a":[1.0,\ntrue]}'],
        [
            '{"a": [1, 1], "b": "x"}',
            '{"a": [true, 1], "b": "x"}',
            '{"a": [1], "b": "x"}',
            '{"a": [1, true]}',
            '{"a": [1, true], "b": "X"}',
            '{"a": {}, "b": "x"}',
            "[1]",
        ],
    ),
    (
        CsvColumns(2),
        ["a,b\n1,2", 'a, b\n"x, y", 2\n'],
        ["a,b", "a,b\n1", "a;b\n1;2", "a,b\n1,2,3", 'a,b\n"x,2', "Here:\na,b\n1,2"],
    ),
    (
        CellsEqual("csv", ROWS),
        ['name,age\nAda,34\n"Ben, jr",5', 'Name, Age\nAda, 34\n"Ben, jr", 5'],
        ["name,age\nAda,34", 'name,age\nAda,35\n"Ben, jr",5', TABLE],
    ),
    (
        TableColumns(2),
        [TABLE, "|a|b|\n|:-|-:|\n|1|2|"],
        [
            "|a|b|\n|1|2|\n|3|4|",
            "|a|b|\n|--|--|",
            "|a|b|\n|--|--|\n|1|",
            "a|b\n--|--\n1|2",
            "Here:\n" + TABLE,
        ],
    ),
    (
        CellsEqual("table", ROWS),
        [TABLE, TABLE.replace(" ", "").replace("Ben,jr", "Ben, jr")],
        [TABLE.replace("34", "35"), "name,age\nAda,34"],
    ),
    (
        ListOf("bullets", 2),
        ["- a\n- b", "* a\n\n* b"],
        ["a\nb", "Here:\n- a\n- b", "- a", "1. a\n2. b"],
    ),
    (
        ListOf("numbers", 2),
        ["1. a\n2. b", "1) a\n2) b"],
        ["- a\n- b", "1. a\n3. b", "1. a\n2. b\nDone"],
    ),
    (ListOf("lines", 2), ["a\nb", "a\n\nb"], ["- a\n- b", "1. a\n2. b", "a", "a, b"]),
    (ListOf("commas", 2), ["a, b", "a,b."], ["a, b, c", "a; b", "a,\nb", "a,"]),
    (ListOf("semicolons", 2), ["a; b", "a, x; b"], ["a, b", "a; b; c"]),
    (
        EntriesEqual("bullets", ("one", "two")),
        ["- One\n- two."],
        ["- two\n- one", "- one", "1. one\n2. two"],
    ),
    (EntriesEqual("commas", ("one", "two")), ["one, two", "One,Two."], ["two, one", "one two"]),
    (
        TextEquals("One two"),
        ["One two", '"One  two"', "`One two`"],
        ["one two", "One two.", "One two three"],
    ),
    (TextEquals("One two", any_case=True), ["one two.", "ONE TWO"], ["onetwo", "one two three"]),
]


@pytest.mark.parametrize(
    ("rule", "text"), [(rule, text) for rule, texts, _ in CASES for text in texts]
)
def test_a_text_that_does_it_meets_the_rule(rule: Rule, text: str) -> None:
    assert check((rule,), text).strict == (True,)


@pytest.mark.parametrize(
    ("rule", "text"), [(rule, text) for rule, _, texts in CASES for text in texts]
)
def test_a_text_that_does_not_do_it_misses_the_rule(rule: Rule, text: str) -> None:
    assert check((rule,), text).strict == (False,)


def test_a_code_block_around_json_is_forgiven_by_the_loose_reading_alone() -> None:
    found = check((ValidJson(), JsonEquals('{"a": 1}')), '```json\n{\n  "a": 1\n}\n```')
    assert found.strict == (False, False)
    assert found.loose == (True, True)


def test_right_form_with_wrong_content_meets_half_of_the_rules() -> None:
    found = check((ListOf("bullets", 2), EntriesEqual("bullets", ("a", "b"))), "- b\n- a")
    assert found.readings == {"strict": 0.0, "loose": 0.0, "share": 0.5}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)


@given(VALUES, VALUES)
def test_json_is_equal_exactly_if_its_sorted_text_is(one: object, other: object) -> None:
    """Oracle: canonical JSON text, which keeps true and 1 apart."""
    texts = [json.dumps([value], sort_keys=True) for value in (one, other)]
    assert JsonEquals(texts[0]).met(texts[1]) == (texts[0] == texts[1])
    assert JsonEquals(texts[0]).met(json.dumps([one], indent=1))
