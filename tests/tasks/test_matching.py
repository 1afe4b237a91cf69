from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetless.tasks.matching import contains, exact_match, normalise, number, token_f1

texts = st.text(st.sampled_from(list("aAbß é.,;:!?\"'’`\t\nİﬁ+-5½")), max_size=12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Paris", "paris"),
        ("  paris \n", "paris"),
        ("New\t\n  York", "new york"),
        ("paris.", "paris"),
        ("paris..", "paris."),  # one closing mark, not all
        ("paris!?", "paris!"),
        ('"Paris."', "paris"),
        ('"Paris".', "paris"),
        ("“Paris”", "paris"),
        ("‘Paris’;", "paris"),
        ("`code`", "code"),
        ("it's", "it's"),
        ("3.5", "3.5"),
        ("25 mg.", "25 mg"),
        (".5", ".5"),
        ("an apple", "an apple"),  # articles stay
        ("ceftizoxime 25mg sl qod x10d", "ceftizoxime 25mg sl qod x10d"),
        ("ﬁnd", "find"),  # a ligature
        ("Ｐａｒｉｓ", "paris"),  # full width
        ("cafe\u0301", "café"),  # a combining accent
        ("x\u00a0y", "x y"),  # a space that does not break
        ("25\u202fmg", "25 mg"),
        ("½", "1⁄2"),
        ("ÉCOLE", "école"),
        ("", ""),
        ('" . "', "."),  # something is left
        ("?", "?"),
        ('""', '""'),
    ],
)
def test_normalised_text_is_as_stated(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("output", "golds", "expected"),
    [
        ("Paris.", ["paris"], 1.0),
        ("Paris, France", ["paris"], 0.0),
        ("the City of Light", ["Paris", "The City of Light"], 1.0),
        ("", ["paris"], 0.0),
        ("pari", ["paris"], 0.0),
        ("caf\u00e9", ["cafe\u0301"], 1.0),
        ("cafe", ["café"], 0.0),
        ("", ["?"], 0.0),
        (",", [";"], 0.0),
        ('"?"', ["?"], 1.0),
    ],
)
def test_exact_match_is_equality_after_normalisation(
    output: str, golds: list[str], expected: float
) -> None:
    assert exact_match(output, golds) == expected


@pytest.mark.parametrize(
    ("output", "golds", "expected"),
    [
        ("I think it is Paris, of course", ["paris"], 1.0),
        ("Parisian", ["paris"], 0.0),
        ("aparis", ["paris"], 0.0),
        ("(Paris)", ["paris"], 1.0),
        ("New  York City", ["new york"], 1.0),
        ("York New", ["new york"], 0.0),
        ("it costs 5 dollars", ["5", "five"], 1.0),
        ("it costs 55 dollars", ["5", "five"], 0.0),
        ("a C++ program", ["C++"], 1.0),
        ("a (x) b", ["(x"], 1.0),  # nothing in it is a pattern
        ("axb", ["a.b"], 0.0),
        ("anything", ["."], 0.0),
        ("anything", [" "], 0.0),  # an answer that normalises to nothing is contained in nothing
        ("a-a-a b", ["a-a b"], 1.0),
        ("ba-a-a", ["a-a"], 1.0),  # the second of two that overlap
        ("答えは東京です。", ["東京"], 1.0),  # no spaces, no end of a word to be seen
        ("首都是北京。", ["北京"], 1.0),
        ("19歳です", ["19"], 1.0),
        ("119歳です", ["19"], 0.0),
        ("เมืองหลวงคือกรุงเทพ", ["กรุงเทพ"], 1.0),
        ("ที่นี่", ["ท"], 0.0),  # a letter without its marks
        ("ที่cat", ["cat"], 1.0),  # any word may begin beside a script without spaces
        ("ที่cat", ["ที่"], 1.0),  # and end
        ("ที่cat", ["ที"], 0.0),
        ("กcat", ["cat"], 1.0),
        ("ที่นี่", ["\u0e48"], 0.0),  # marks without their letter
        ("catที่", ["cat"], 1.0),
        ("हिन्दीcat", ["cat"], 0.0),
        ("हिन्दी", ["हिन"], 0.0),
        ("भाषा हिन्दी है", ["हिन्दी"], 1.0),
        ("✔\ufe0fParis", ["paris"], 1.0),  # a mark on what is no letter
        ("it is Ｐａｒｉｓ", ["paris"], 1.0),
    ],
)
def test_contains_wants_whole_words(output: str, golds: list[str], expected: float) -> None:
    assert contains(output, golds) == expected


@pytest.mark.parametrize(
    ("output", "golds", "expected"),
    [
        ("a b c d", ["a b x"], 2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3)),
        ("a b", ["a b"], 1.0),
        ("b a", ["a b"], 1.0),  # order does not count
        ("a a b", ["a b b"], 2 / 3),  # repetition does: 2 shared of 3 and 3
        ("a a b", ["a a c"], 2 / 3),  # the same word twice is shared twice
        ("x y", ["a b"], 0.0),
        ("", ["a b"], 0.0),
        ("the cat", ["cat"], 2 * (1 / 2) / (1 / 2 + 1)),  # an article counts
        ("a b c d", ["x", "a b c", "a"], 2 * (3 / 4) / (3 / 4 + 1)),  # the best of them
        ("25mg, twice-daily!", ["25mg twice daily"], 1.0),
        ("+", ["+"], 1.0),  # no word, and yet the answer
        ("-", ["+"], 0.0),
        ("", ["+"], 0.0),
        ("", ["."], 0.0),
        ("हिन्दु", ["हिन्दी"], 0.0),
        ("हिन्दी भाषा", ["हिन्दी"], 2 / 3),
        ("首都是北京", ["北京"], 2 * (2 / 5) / (2 / 5 + 1)),  # each character counts
    ],
)
def test_token_f1_has_its_hand_computed_value(
    output: str, golds: list[str], expected: float
) -> None:
    assert token_f1(output, golds) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("output", "golds", "expected"),
    [
        ("19", ["19"], 1.0),
        ("12 + 7 = 19.", ["19"], 1.0),  # the last one counts
        ("19 or 20", ["19"], 0.0),
        ("20", ["19", "20"], 1.0),
        ("21", ["19", "20"], 0.0),
        ("1,250.0", ["1250"], 1.0),
        ("1250", ["1,250.00"], 1.0),
        ("12,345,678", ["12345678"], 1.0),
        ("0.50", ["0.5"], 1.0),
        ("0.5", ["0.05"], 0.0),
        ("-4", ["-4"], 1.0),
        ("it is \u22124", ["-4"], 1.0),  # a minus sign that is none of ASCII's
        ("4", ["-4"], 0.0),
        ("10-4", ["4"], 1.0),  # here it is a hyphen
        ("\uff11\uff19", ["19"], 1.0),  # full width
        ("7\nQuestion: what is 3 + 5?", ["7"], 1.0),
        ("7\n  question : what is 3 + 5?", ["7"], 1.0),
        ("7, a question: 8", ["7"], 0.0),
        ("1.2.3", ["3"], 0.0),  # a version
        ("12,50", ["50"], 0.0),
        ("1,2500", ["2500"], 0.0),
        ("x19", ["19"], 0.0),
        ("x_19", ["19"], 0.0),
        (".5", ["0.5"], 1.0),
        ("-.5", ["-0.5"], 1.0),
        ("Fig.5", ["5"], 1.0),  # here the point ends a word
        ("_19_", ["19"], 1.0),
        ("__19__", ["19"], 1.0),
        ("19_000", ["19"], 1.0),
        ("The result is...19", ["19"], 1.0),
        ("The result is\u202619", ["19"], 1.0),
        ("10\u00b2", ["102"], 0.0),
        ("25 m\u00b2", ["25"], 1.0),
        ("1\u00a0000", ["1000"], 1.0),
        ("12\u202f500\u202f000", ["12500000"], 1.0),
        ("5 25 125", ["125"], 1.0),  # a plain space parts numbers
        ("1e3", ["1000"], 1.0),
        ("2.5E-1", ["0.25"], 1.0),
        ("1e99999", ["1"], 1.0),
        ("3em", ["3"], 1.0),
        ("19 or 3,4", ["19"], 0.0),  # one that is not read comes after it
        ("19, in version 1.2.3", ["19"], 0.0),
        ("(19,20)", ["19", "20"], 0.0),
        ("(5,-3)", ["3", "-3"], 0.0),
        ("2½ cups", ["2"], 0.0),
        ("⅓", ["3", "1"], 0.0),
        ("3/4", ["4", "3"], 0.0),
        ("4", ["3/4"], 0.0),
        ("4", ["¾"], 0.0),
        ("So it is 3/4.", ["3/4"], 1.0),  # not read, and the same signs
        ("It is ½", ["½"], 1.0),
        ("3/4", ["3/5"], 0.0),
        ("2½", ["21/2"], 0.0),
        ("version 1.2.3", ["1.2.3"], 1.0),
        ("3/4 of 100 km/h is 75 km/h", ["75"], 1.0),
        ("12 / 4", ["4"], 1.0),
        ("no idea", ["19"], 0.0),
        ("", ["19"], 0.0),
        ("nineteen", ["nineteen"], 0.0),
        ("19", ["nineteen"], 0.0),
    ],
)
def test_the_last_number_counts_however_it_is_written(
    output: str, golds: list[str], expected: float
) -> None:
    assert number(output, golds) == expected


def by_lists(output: str, gold: str) -> float:
    """Precision and recall, spelled out with lists: no counters, no formula for 2TP/(P+N)."""
    predicted, wanted = words(output), words(gold)
    left = list(wanted)
    shared = 0
    for word in predicted:
        if word in left:
            left.remove(word)
            shared += 1
    if not shared:
        return 0.0
    precision, recall = shared / len(predicted), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)


def words(text: str) -> list[str]:
    kept = unicodedata.normalize("NFKC", text).lower()
    return "".join(c if c.isalnum() else " " for c in kept).split()


simple = st.lists(st.sampled_from(["a", "a", "Ab", "5.", "é,", "-"]), max_size=6).map(" ".join)


@given(output=simple, golds=st.lists(simple, min_size=1, max_size=3))
def test_token_f1_agrees_with_another_implementation(output: str, golds: list[str]) -> None:
    if not exact_match(output, golds):
        assert token_f1(output, golds) == pytest.approx(max(by_lists(output, g) for g in golds))


@given(output=texts, golds=st.lists(texts, min_size=1, max_size=3))
def test_an_exact_match_is_a_match_by_every_measure(output: str, golds: list[str]) -> None:
    if exact_match(output, golds):
        assert token_f1(output, golds) == 1.0
        assert contains(output, golds) == 1.0 or not normalise(output)


@given(text=texts)
def test_surrounding_space_and_case_never_matter(text: str) -> None:
    assert normalise(f" \n{text.upper().lower()}\t") == normalise(text.upper().lower())
    assert normalise(text) == normalise(text.lower())


@given(output=texts, gold=texts)
def test_f1_is_symmetric_and_between_0_and_1(output: str, gold: str) -> None:
    assert token_f1(output, [gold]) == pytest.approx(token_f1(gold, [output]))
    assert 0 <= token_f1(output, [gold]) <= 1
