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
    (``B)``, ``B.``, ``**B**``); "answer is B"; one choice alone occurs in it.

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
    if begun := re.match(rf"[\s*_(\[]*({one})[*_)\].:,]", text):
        return place[begun[1].casefold()]
    said = re.findall(
        rf"(?i:answer|choice|option)(?i:\s+is)?[\s:*_(\[]*{_NOT_IN_A_WORD}({one}){_NO_SENTENCE}",
        text,
    )
    if len(set(said)) == 1:
        return place[said[0].casefold()]
    within = [n for n, choice in enumerate(choices) if contains(text, (choice,))]
    return within[0] if len(within) == 1 and not said else None


def _differ(own: Sequence[str]) -> bool:
    return len({label.casefold() for label in own}) == len(own)
