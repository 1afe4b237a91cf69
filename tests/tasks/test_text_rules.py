"""Rules about wording and layout, each by hand-made texts that meet it and that do not."""

from __future__ import annotations

import pytest

from forgetless.tasks.rules import Rule, check
from forgetless.tasks.text_rules import (
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
    sentences,
)
from forgetless.tasks.words import words

CASES: list[tuple[Rule, list[str], list[str]]] = [
    (WordCount(3), ["one two three", "It's well-known: 3 cats"], ["one two", "one-two three-four"]),
    (WordCount(1, 2), ["one", "one two!", "- one\n- two"], ["one two three"]),
    (WordCount(2, 2), ["one two", "one , two"], ["one", "one two three"]),
    (SentenceCount(2), ["One. Two!", "One?\nTwo"], ["Only one.", "Costs 3.50 e.g. here."]),
    (SentenceCount(1, 1), ["No end", "Dr. Lee paid 3.50.", '"Really?!"'], ["One. Two.", "A\nB"]),
    (SentenceCount(2, 2), ["1. Go.\n2. Come.", "你好。再见。"], ["1. Go home", "a. b. c."]),
    (ParagraphCount(2), ["one\n\ntwo", "one\nmore\n \n\ntwo"], ["one\ntwo", "one\n\ntwo\n\nthree"]),
    (BulletCount(2), ["- a\n- b", "Look:\n* a\n  • b\nDone"], ["- a", "-a\n-b", "- a\n- b\n- c"]),
    (
        NumberedCount(2),
        ["1. a\n2. b", "So:\n1) a\n2) b\nDone"],
        ["1. a", "1. a\n3. b", "1. a\n1. b"],
    ),
    (
        StartsWith("To be fair"),
        ["To be fair, no.", "to  be\nfair"],
        ["I want to be fair", "To be fairest"],
    ),
    (EndsWith("so be it"), ["Then so be it!", "SO BE\nIT."], ["So be it then", "also be it"]),
    (EndsWithQuestion(), ["Why not?", 'He asked "why?"', "ない？"], ["Why? Because.", "Why"]),
    (
        Postscript(),
        ["Dear all, I am fine.\nP.S. Call", "a b c\n\nP. S.: x"],
        ["P.S. only this", "a b c P.S. no"],
    ),
    (Includes(("sun", "ice cream")), ["Sun and ice  cream"], ["Sunny ice cream", "sun"]),
    (Excludes(("the", "it")), ["Other items here"], ["Over the hill", "Is it so?", "No."]),
    (KeywordCount("sun", 2), ["Sun, sun", "sun sun sun"], ["sun", "sun sunny"]),
    (KeywordCount("sun", 2, 2), ["The sun is a sun."], ["sun", "sun sun sun"]),
    (LetterCount("z", 2), ["Zigzag", "pizza"], ["zoo", "nothing"]),
    (LowerCase(), ["all small, 3 of them", "élan vital здесь"], ["One capital", "no", "1 2 3"]),
    (UpperCase(), ["ALL LARGE, 3 OF THEM", "ÉLAN VITAL ЗДЕСЬ"], ["ONE SMALl HERE", "NO", "1 2 3"]),
    (NoCommas(), ["one two three"], ["one, two three", "一，二 三 四", "no"]),
    (
        Title(),
        ["<<A day>>\nIt was a day.", "It was\n<< b >> a day"],
        ["<<A day>>", "<A day> it was a", "<<>> it was a"],
    ),
    (
        Quoted(),
        ['"All of it."', "“All of it.”", "«Tout ça»"],
        ['"All" of it', 'All "of it"', '"Open'],
    ),
    (SingleLine(), ["one two three"], ["one two\nthree", "one", "one\u2028two three"]),
    (
        RepeatsFirst("Say a. Now."),
        ["Say a. Now. Well, here it is", '"say  a. now." here it is'],
        ["Say a. Now.", "Well: Say a. Now. b c d"],
    ),
    (
        TwoAnswers(),
        ["one\n******\ntwo", "one****** two"],
        ["one\n*****\ntwo", "one ****** one", "one ******", "a******b******c", "a ******* b"],
    ),
    (
        PlaceholderCount(2),
        ["[name] and [date of birth]"],
        ["[name] and [Name]", "[name", "[ ] [-]"],
    ),
    (
        InScript("Cyrillic", "Russian"),
        ["Привет, как дела", "Это очень длинный файл README сегодня"],
        ["Hello there", "Да нет hello there now"],
    ),
    (InScript("Latin", "Spanish"), ["Hola, ¿qué tal?"], ["Привет hola", "12 34"]),
    (InScript("Greek", "Greek"), ["Καλημέρα σας"], ["Kalimera sas", "Λα"]),
    (InScript("Arabic", "Arabic"), ["مرحبا بكم"], ["marhaban"]),
    (InScript("Hebrew", "Hebrew"), ["שלום לכם"], ["shalom"]),
    (InScript("Devanagari", "Hindi"), ["यह एक दिन है"], ["yah ek din"]),
    (InScript("Chinese", "Chinese"), ["今天天气很好"], ["jintian tianqi"]),
    (
        InScript("Japanese", "Japanese"),
        ["今日はいい天気です", "カタカナ"],
        ["今天天气很好", "konnichiwa"],
    ),
    (InScript("Korean", "Korean"), ["오늘은 날씨가"], ["annyeong"]),
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


@pytest.mark.parametrize(
    ("rule", "request_"),
    [
        (WordCount(30), "Use at least 30 words."),
        (WordCount(1, 20), "Use at most 20 words."),
        (SentenceCount(1, 1), "Write exactly one sentence."),
        (KeywordCount("sun", 2, 2), 'Use the word "sun" exactly two times.'),
        (Includes(("sun", "rain")), 'Include the words "sun" and "rain".'),
        (Excludes(("a", "b", "c")), 'Do not use the words "a", "b" or "c".'),
        (Excludes(("the",)), 'Do not use the word "the".'),
        (
            NumberedCount(1),
            'Include a numbered list of exactly one entry, written "1.", "2." and so on.',
        ),
        (
            NumberedCount(3),
            'Include a numbered list of exactly three entries, written "1.", "2." and so on.',
        ),
        (
            PlaceholderCount(1),
            "Use at least one placeholder in square brackets, such as [name].",
        ),
        (
            PlaceholderCount(2),
            "Use at least two different placeholders in square brackets, such as [name].",
        ),
    ],
)
def test_a_request_says_what_is_checked(rule: Rule, request_: str) -> None:
    assert rule.request() == request_


def test_words_and_sentences_by_hand() -> None:
    assert words("It's 10 o'clock - a state-of-the-art clock…") == [
        *("It's", "10", "o'clock", "a", "state-of-the-art", "clock")
    ]
    assert sentences('He said "Go." Then, e.g. at 5.30, he left! Mr. Fox?') == [
        'He said "Go.',  # the mark that closes a sentence goes with the space behind it
        "Then, e.g at 5.30, he left!",
        "Mr Fox?",
    ]
