"""Multiple choice by letter: how choices are listed, and which letter was answered."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import replace

from forgetless.endpoints.replies import log_sum
from forgetless.errors import DataError
from forgetless.tasks.matching import contains, normalise
from forgetless.tasks.render import Style
from forgetless.tasks.row import Row, Turn

_MARKERS = "▁Ġ "  # what some servers leave before a token instead of its space
# What can take the same signs in two ways is possessive: of an answer that repeats itself, as those
# of small models do, every letter would double the time.
_OPEN, _CLOSE = r"(?:[\s:*_(\[{$]|\\text\w*+)*", r"[*_)\]}$]*"
_NOUN = r"(?i:answer|choice|option|letter)"
_IS = r"(?:is|(?:should|would|must) be)(?:\s+(?:most likely|likely|probably|clearly))?"
_IS_RIGHT = r"is (?:right|correct|the (?:(?:right|correct|best) )?(?:answer|choice|option|one))\b"
_REASON = r"(?:because|since|as)\b"

_NOT_IN_A_WORD = r"(?<![\w'’])"
_WHOLE = r"(?![\w'’]|[.,]\d)"  # nor in a number
_AT_ITS_END = rf"(?={_CLOSE}(?:[.!]?\s*$|[.!]?\n|[.!]\s))"  # nor is a small a, but for "it is a."
# What stands before a further letter of a list: ", " or " or option (".
_NEXT = rf"{_CLOSE}(?: *[,/&] *+(?:(?:and|or) )?| (?:and|or) ){_OPEN}(?:{_NOUN}{_OPEN})?"
_SAID = rf"{_CLOSE} (?!{_REASON})"  # what begins small behind this is said of a letter
# In "A dog" the A is no answer; neither is one in "A and B are wrong".
_NO_SUBJECT = rf"{_WHOLE}(?!(?:{_NEXT}(?:ONE){_WHOLE})*{_SAID}[a-z])"

_FIRST = rf"\A{_OPEN}(?!I[, ])(?P<letter>ONE)"  # not "I, for one" or "I as an AI"
_SIGNS = r"[*_)\]}$.:,]++(?!\d)"  # not "1.5"

# How a text names a letter, the surest first; ONE stands for any of the letters.
_WAYS_TO_NAME = (
    rf"{_FIRST}(?:{_SIGNS})?\n",
    # not "A) is wrong", nor the first of the choices listed once more, a line each
    rf"{_FIRST}{_SIGNS}(?! [a-z]|.*\n{_OPEN}(?:ONE)[.):])",
    # no letters but A and I are words: "answer is A dog" names none, "answer is B due to" does;
    # and "A and B is wrong" is an answer and a sentence
    rf"(?:{_NOUN}(?:\s+(?i:{_IS})|[\s*_]*:)|\\boxed){_OPEN}(?:{_NOUN}{_OPEN})?{_NOT_IN_A_WORD}"
    rf"(?P<letter>(?:ONE){_WHOLE}(?:(?<![AaIi])|(?! (?!{_REASON}|and |or )[a-z]))"
    rf"|(?i:ONE){_AT_ITS_END})",
    rf"{_FIRST}(?:{_SIGNS}| {_REASON})",
    rf"(?<! and )(?<! or ){_NOUN}(?:\s+(?i:{_IS}))?{_OPEN}{_NOT_IN_A_WORD}"
    rf"(?P<letter>(?:ONE){_NO_SUBJECT}|(?i:ONE){_AT_ITS_END})",
    rf"(?:\A|[.!\n]){_OPEN}(?:{_NOUN}{_OPEN})?(?P<letter>ONE){_CLOSE} {_IS_RIGHT}",
    rf"(?:I(?:['’]d| would)? (?:choose|pick|select|say|go with)|\b(?i:it)(?:['’]s| {_IS}))"
    rf"{_OPEN}{_NOT_IN_A_WORD}(?P<letter>ONE){_NO_SUBJECT}",
)

# How further letters are listed after one: "A, B or C"; "A. B."; one a line. In "A. B and C are
# wrong" and in "A, B is wrong" a sentence begins with the second letter.
_WAYS_TO_LIST = (
    rf"(?:{_NEXT}(?P<letter>ONE){_WHOLE})+(?!{_SAID}[a-z])",
    rf"{_CLOSE}(?P<mark>[.)]) +{_OPEN}(?P<letter>ONE)(?:(?P=mark)|\Z)",
    rf"{_CLOSE}[.)]?\n{_OPEN}(?P<letter>ONE){_CLOSE}[.)]?(?:\n|\Z)",
)


def labels(row: Row) -> tuple[str, ...]:
    """The letters of a row's choices; single signs such as A or 1 label themselves.

    Raises:
        DataError: if there are no choices, or more than letters.
    """
    if not row.choices:
        raise DataError("the item has no choices")
    own = tuple(choice.strip() for choice in row.choices)
    if all(len(label) == 1 and label.isalnum() for label in own) and _differ(own):
        return own
    if len(own) > len(string.ascii_uppercase):
        raise DataError(f"the item has {len(own)} choices, which are more than letters")
    return tuple(string.ascii_uppercase[: len(own)])


def lettered(row: Row, style: Style) -> Row:
    """A row with its choices listed under letters, the right letter as its answer.

    A row whose choices are letters already lists them itself and is left as it is.
    """
    letters, own = labels(row), tuple(choice.strip() for choice in row.choices)
    if letters == own:
        return replace(row, answer=letters[row.gold], aliases=(), choices=letters)
    listed = "\n".join(map("{}. {}".format, letters, row.choices))
    closing = "\n\nAnswer with the letter only." if style == "chat" else "\nAnswer:"
    *before, last = row.prompt
    joint = "\n\n" if style == "chat" else "\n"
    asked = Turn(last.role, last.content + joint + listed + closing)
    return replace(
        row, prompt=(*before, asked), answer=letters[row.gold], aliases=(), choices=letters
    )


def letter_logprobs(tops: Mapping[str, float], letters: Sequence[str]) -> dict[int, float]:
    """Log-probability of each letter that is among the likeliest first tokens.

    ``log(sum of p(token))`` over the tokens that are the letter but for white space and case.

    Args:
        tops: The likeliest first tokens with their log-probabilities, in nats.
        letters: Labels of the choices.

    Returns:
        From the number of a choice to its log-probability; without those that are not among them.
    """
    found: dict[int, list[float]] = {}
    place = {letter.casefold(): number for number, letter in enumerate(letters)}
    for token, value in tops.items():
        number = place.get(token.strip().strip(_MARKERS).casefold())
        if number is not None:
            found.setdefault(number, []).append(value)
    return {number: log_sum(values) for number, values in sorted(found.items())}


def chosen_in(text: str, letters: Sequence[str], choices: Sequence[str]) -> int | None:
    r"""Number of the choice that a text names; None if it names none, or several.

    Looked for in turn: the whole text is a choice or a letter; its first line is a letter; it
    begins with a letter and a sign (``B)``, ``B.``, ``**B**``), but with no sentence about that
    letter ("B) is wrong") and no list of the choices; "answer is B" or LaTeX's ``\boxed{B}``; it
    begins with a letter and any sign or reason ("B because"); "option B"; a sentence that begins
    with "B is right"; "it is B" or "I would choose B"; one choice alone occurs in it. A letter that
    is listed with others ("A or B") names none.

    >>> chosen_in("The answer is (B), since ...", "ABC", ("red", "blue", "grey"))
    1
    >>> chosen_in("A dog is grey.", "ABC", ("red", "blue", "grey"))
    2
    """
    plain = normalise(re.sub(r"[*_`()\[\]]", "", text))
    named = [n for n, choice in enumerate(choices) if normalise(choice) == plain]
    if len(named) == 1:
        return named[0]
    place = {letter.casefold(): number for number, letter in enumerate(letters)}
    if plain in place:
        return place[plain]
    one = "|".join(map(re.escape, letters))
    lines = "\n".join(line.strip() for line in text.splitlines() if line.strip())
    several = False
    for way in _WAYS_TO_NAME:
        found = re.finditer(way.replace("ONE", one), lines)
        numbers = {n for match in found for n in _named(match, one, place, choices)}
        if len(numbers) == 1:
            return numbers.pop()
        several |= bool(numbers)
    within = [n for n, choice in enumerate(choices) if contains(text, (choice,))]
    return within[0] if len(within) == 1 and not several else None


def _named(
    found: re.Match[str], one: str, place: Mapping[str, int], choices: Sequence[str]
) -> set[int]:
    """The choice whose letter was found, and one whose letter is listed after it.

    What stands there may be a choice itself that begins like a letter, ``E. coli``; and what
    follows may be the letter's own choice and look like a letter, ``B. C``.
    """
    number, rest = place[found["letter"].casefold()], found.string[found.end("letter") :]
    here = normalise(found.string[found.start("letter") :])
    for other, choice in enumerate(choices):
        if len(choice.strip()) > 1 and here.startswith(normalise(choice)):
            return {other}
    if normalise(rest.lstrip("*_)].:, ")).startswith(normalise(choices[number])):
        return {number}
    more = (re.match(way.replace("ONE", one), rest) for way in _WAYS_TO_LIST)
    return {number, *(place[match["letter"].casefold()] for match in more if match)}


def _differ(own: Sequence[str]) -> bool:
    return len({label.casefold() for label in own}) == len(own)
