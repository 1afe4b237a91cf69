from __future__ import annotations

import math

import pytest

from forgetless.endpoints.letters import chosen_in, labels, letter_logprobs, lettered
from forgetless.errors import DataError
from tests.training.build import exchange

COLOURS = ("red", "blue", "grey")


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("B", 1), ("b", 1), ("(B)", 1), ("**B**", 1), ("B.", 1), ("B) blue", 1), ("B: it is", 1),
        ("blue", 1), ("Blue.", 1), ("The answer is B", 1), ("the answer is (B), as", 1),
        ("Answer: **C**", 2), ("I would say that it is blue, of course", 1),
        ("A dog is grey.", 2), ("The answer is a dog", None), ("red or blue", None),
        ("The answer is A. No, the answer is B.", None), ("Certainly!", None), ("D", None),
        ("The answer is b", 1), ("the answer: b.", 1), ("The answer is (b).", 1),
        ("Answer: b\nIt is blue.", 1), ("The answer is a.", 0), ("The answer is a, say", None),
        ("The correct letter is B.", 1), ("C is right.", 2), ("C is correct, as it is.", 2),
        ("Neither A nor C is right.", None), ("Answer: not A", None),
        ("A, B", None), ("A and B", None), ("A/B", None), ("(A), (B)", None), ("A, B: red", None),
        ("The answer is A, B", None), ("A. B. are wrong; the answer is C.", 2),
        ("A. red\nB. blue", 0), ("B: I think", 1), ("A: because B is wrong", 0),
        ("B. No wait, the answer is C.", 1), ("Answer: B\n\nA) red is wrong", 1),
    ],
)  # fmt: skip
def test_choice_is_read_from_what_a_model_says(said: str, number: int | None) -> None:
    assert chosen_in(said, "ABC", COLOURS) == number


@pytest.mark.parametrize(
    ("said", "letters", "choices", "number"),
    [
        ("I, as an AI, would pick blue", "ABCDEFGHI", (*COLOURS, *"uvwxyz"), 1),
        ("1.5", "12345", tuple("12345"), None), ("2.", "12345", tuple("12345"), 1),
        ("B. C", "ABC", ("Go", "C", "B"), 1), ("Answer: C. B", "ABC", ("Go", "C", "B"), 2),
    ],
)  # fmt: skip
def test_letters_that_are_words_numbers_or_choices_are_told_from_answers(
    said: str, letters: str, choices: tuple[str, ...], number: int | None
) -> None:
    assert chosen_in(said, letters, choices) == number


def test_letters_with_white_space_and_in_small_are_one() -> None:
    tops = {" A": math.log(0.2), "A": math.log(0.3), "a": math.log(0.1), "▁B": math.log(0.25)}
    found = letter_logprobs(tops | {"The": -0.1}, "ABC")
    assert found.keys() == {0, 1}
    assert math.exp(found[0]) == pytest.approx(0.6)
    assert math.exp(found[1]) == pytest.approx(0.25)


def test_choices_are_listed_under_letters() -> None:
    row = exchange("q", "Which?", "blue", choices=COLOURS)
    chat, plain = lettered(row, "chat"), lettered(row, "plain")
    assert chat.prompt[-1].content == (
        "Which?\n\nA. red\nB. blue\nC. grey\n\nAnswer with the letter only."
    )
    assert plain.prompt[-1].content == "Which?\nA. red\nB. blue\nC. grey\nAnswer:"
    assert chat.answer == plain.answer == "B"


def test_choices_that_are_letters_are_asked_as_they_are() -> None:
    row = exchange("q", "Which?\nC. x\nD. y", "D", choices=("C", "D"))
    assert labels(row) == ("C", "D")
    assert lettered(row, "chat").prompt == row.prompt


def test_more_choices_than_letters_cannot_be_asked() -> None:
    row = exchange("q", "Which?", "0x", choices=tuple(f"{n}x" for n in range(27)))
    with pytest.raises(DataError, match="27 choices"):
        labels(row)
