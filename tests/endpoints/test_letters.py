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
        ("The answer is C major", "ABC", ("A minor", "C major", "E major"), 1),
        ("E. coli, as it is", "ABCDE", ("E. coli", *"vwxy"), 0),
    ],
)  # fmt: skip
def test_letters_that_are_words_numbers_or_choices_are_told_from_answers(
    said: str, letters: str, choices: tuple[str, ...], number: int | None
) -> None:
    assert chosen_in(said, letters, choices) == number


@pytest.mark.parametrize(
    "said",
    [
        "Answer: C\n\nWait, that is wrong. The correct answer is B.",
        "Answer: C. No, the answer is B.",
        "**Answer: C**\n\nOnce more ... So the correct answer is B.",
        "The answer is B.\n\nQuestion: What is grass?\nAnswer: D",
    ],
)  # fmt: skip
def test_a_text_that_gives_two_answers_names_none(said: str) -> None:
    assert chosen_in(said, "ABCD", (*COLOURS, "green")) is None


@pytest.mark.parametrize(
    ("start", "again"),
    [
        ("option ", "A, "), ("I would choose ", "B, "), ("Option A, B. Answer ", "A, B, C, "),
        ("The answer is ", "A and B or "), ("\\boxed{", "\\text_"), ("It is ", "A & "),
        ("", "A, "), ("A", "\n*"), ("Answer: ", "("), ("Answer", "_*"), ("", "A. "), ("", "B\n"),
    ],
)  # fmt: skip
def test_an_answer_that_repeats_itself_is_read_to_its_end(start: str, again: str) -> None:
    """In time that doubles with every repetition it never would be."""
    assert chosen_in(start + 300 * again, "ABC", COLOURS) in (None, 0, 1)


@pytest.mark.parametrize("letter", "ABC")
@pytest.mark.parametrize(
    "form",
    [
        "The answer is {} because it is.", "{} because it is.", "Answer: {} since it is.",
        "{}\n\nExplanation: it is.", "{}\nIt is.", "**{}**\n\nIt is.", "{}\n\nThe answer is {}.",
        "{} is correct because it is.", "{} is the answer.", "Well. {} is the best choice, I say",
        "Option {} is correct.", "Answer {} is right.", "The answer is option {} and no other.",
        "The answer should be {}.", "I think the answer would be {}", "It is most likely {}.",
        "The answer is most likely {}.", "I would choose {}.", "I'd go with {}, as", "It's {}.",
        "So it is $\\boxed{{{}}}$.", "\\boxed{{\\text{{{}}}}}", "Answer: ${}$",
        "Option A: so. Option B: so. Option C: so. The answer is {}.",
    ],
)  # fmt: skip
def test_every_letter_is_read_alike_in_the_ways_that_models_answer(form: str, letter: str) -> None:
    assert chosen_in(form.format(letter, letter), "ABC", COLOURS) == "ABC".index(letter)


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("The answer is A. B, C and D are incorrect.", 0), ("A) B, C and D are false.", 0),
        ("The correct answer is B. A, C, and D are wrong.", 1), ("B. A, C and D are wrong.", 1),
        ("Answer: B. A: no; C: no", 1), ("B, A and C are wrong.", 1), ("B, A is wrong.", 1),
        ("The answer is option C and not D.", 2), ("Answer: D (not C)", 3),
        ("The answer is A, B or C", None), ("It is A or B.", None), ("A and B are right.", None),
        ("The answer is A or B, since both are.", None), ("\\boxed{A, B}", None),
        ("A\nB\nC\nD", None), ("A. B. C. D.", None), ("A) B)", None), ("A \n\n B", None),
    ],
)  # fmt: skip
def test_the_wrong_letters_in_a_sentence_of_their_own_leave_the_answer(
    said: str, number: int | None
) -> None:
    assert chosen_in(said, "ABCD", (*COLOURS, "pink")) == number


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("Option A and option B are incorrect. The right one is C, grey.", 2),
        ("Option A and B are both wrong, so the best is C.", None),
        ("Option A, B and D are wrong. It is grey.", 2), ("Choice A and choice B are wrong", None),
        ("Option A, option B and option D are wrong.", None),
        ("Answer A or B would be wrong here, so C it is.", None),
        ("Option B or C might work, but neither fits; D", None),
        ("Option A and D can be ruled out.", None), ("Options: A/B are wrong", None),
        ("I'd say A and C are too small, so B.", None), ("It's A and then B", None),
        ("I'd say A and B are wrong; the answer is C.", 2), ("It is A or B that is wrong", None),
        ("The answer is A and B is wrong", 0), ("The answer is option A or option B.", None),
        ("My answer is choice B, not choice A.", 1), ("Option (D) is the right answer", 3),
    ],
)  # fmt: skip
def test_letters_that_are_ruled_out_together_are_no_answer(said: str, number: int | None) -> None:
    assert chosen_in(said, "ABCD", (*COLOURS, "pink")) == number


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("A. red\nB. blue\nC. grey\nD. pink\n\nThe answer is C.", 2),
        ("A. Red\nB. Blue\nC. Grey\nD. Pink\n\nThe answer is C.", 2),
        ("A) red\nB) blue\nC) grey\nD) pink\n\nAnswer: C", 2),
        ("A) red - no\nB) blue - yes\nAnswer: B", 1), ("A: No.\nB: Yes.\nAnswer: B", 1),
        ("A) is incorrect. The correct answer is C.", 2), ("**A)** is not it. Answer: B", 1),
        ("A. red is wrong. The answer is B.", 1), ("B as in boy", 1), ("B) is what I say", 1),
        ("A as in apple, no: the answer is B", 1), ("B\n\nQuestion: so?\nA. u\nAnswer: C", 1),
        ("B. Blue\n\nQuestion: so?\nA. u\nAnswer: C", 1),
    ],
)  # fmt: skip
def test_a_text_that_begins_with_the_choices_or_with_a_wrong_one_is_read_to_its_answer(
    said: str, number: int
) -> None:
    assert chosen_in(said, "ABCD", (*COLOURS, "pink")) == number


@pytest.mark.parametrize(
    "said",
    [
        "A car is what it is.", "It is A car.", "The answer is A car.", "I would choose A car",
        "Option B is wrong.", "Option B is not correct.", "B is not correct.",
        "The answer is not B.", "Neither option A nor option B is correct.",
        "I don't think option B is correct.", "I would not choose B.", "It isn't B.",
        "I as an AI cannot say", "I think so",
        "The answer is 1.5", "The answer is 1,5", "The answer is 1/5", "Options: A is what I like",
    ],
)  # fmt: skip
def test_what_only_looks_like_an_answer_names_no_letter(said: str) -> None:
    letters = "12345" if "1" in said else "ABCDEFGHI"
    assert chosen_in(said, letters, tuple(f"choice {n}" for n in letters)) is None


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
