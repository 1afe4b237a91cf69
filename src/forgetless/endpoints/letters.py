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
_NOT_IN_A_WORD = r"(?<![\w'’])"
_NO_SENTENCE = r"(?![\w'’])(?! [a-z])"  # in "A dog" the A is no answer
_AT_ITS_END = r"(?=[*_)\]]*(?:[.!]?\s*$|[.!]?\n|[.!]\s))"  # nor is a small a, but for "it is a."

# How a text names a letter, the surest first; ONE stands for any of the letters.
_WAYS_TO_NAME = (
    r"\A[\s*_(\[]*(?!I,)(?P<letter>ONE)[*_)\].:,](?!\d)",  # not "I, for one", not "1.5"
    rf"(?i:answer|choice|option|letter)(?i:\s+is)?[\s:*_(\[]*{_NOT_IN_A_WORD}"
    rf"(?P<letter>(?:ONE){_NO_SENTENCE}|(?i:ONE){_AT_ITS_END})",
    r"\A[\s*_(\[]*(?P<letter>ONE)[*_)\]]* is (?:right|correct)[.,!]",
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
    """Number of the choice that a text names; None if it names none, or several.

    Looked for in turn: the whole text is a choice or a letter; it begins with a letter and a sign
    (``B)``, ``B.``, ``**B**``) and lists no other; "answer is B"; it begins with "B is right"; one
    choice alone occurs in it.

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
    several = False
    for way in _WAYS_TO_NAME:
        found = re.finditer(way.replace("ONE", one), text)
        numbers = {n for match in found for n in _listed(match, one, place, choices)}
        if len(numbers) == 1:
            return numbers.pop()
        several |= bool(numbers)
    within = [n for n, choice in enumerate(choices) if contains(text, (choice,))]
    return within[0] if len(within) == 1 and not several else None


def _listed(
    found: re.Match[str], one: str, place: Mapping[str, int], choices: Sequence[str]
) -> set[int]:
    """The choice whose letter was found, and one whose letter is listed after it.

    What follows may be the choice itself, and look like a letter: ``B. C``.
    """
    number, rest = place[found["letter"].casefold()], found.string[found.end("letter") :]
    if normalise(rest.lstrip("*_)].:, ")).startswith(normalise(choices[number])):
        return {number}
    more = re.match(rf"[*_\]]*[.,/&)]+ *(?:and |or )?[*_(\[]*({one}){_NO_SENTENCE}", rest)
    return {number, place[more[1].casefold()]} if more else {number}


def _differ(own: Sequence[str]) -> bool:
    return len({label.casefold() for label in own}) == len(own)
