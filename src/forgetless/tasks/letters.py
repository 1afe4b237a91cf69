"""Multiple choice by letter: the choices stand in the prompt, and the answer is A, B, C or D.

Chat models and endpoints are asked in this way; what is scored is one token.
"""

from __future__ import annotations

from dataclasses import replace
from string import ascii_uppercase

from forgetless.errors import DataError
from forgetless.tasks.row import Row, Turn

INSTRUCTION = "Answer with the letter of the right choice only."


def lettered(row: Row) -> Row:
    """The same item with its choices listed in the prompt and their letters to choose from.

    Raises:
        DataError: if the item has no choices, or more than there are letters.

    Example:
        >>> row = Row("1", (Turn("user", "Which is a fruit?"),), "fig", choices=("tin", "fig"))
        >>> asked = lettered(row)
        >>> print(asked.prompt[-1].content)
        Which is a fruit?
        A. tin
        B. fig
        Answer with the letter of the right choice only.
        >>> asked.answer, asked.choices
        ('B', ('A', 'B'))
    """
    if not 2 <= len(row.choices) <= len(ascii_uppercase):
        raise DataError(
            f"item {row.id!r} has {len(row.choices)} choices, needed 2 to {len(ascii_uppercase)} "
            "to name them by letters"
        )
    letters = tuple(ascii_uppercase[: len(row.choices)])
    *before, last = row.prompt
    listed = (f"{letter}. {choice}" for letter, choice in zip(letters, row.choices, strict=True))
    asked = "\n".join([last.content, *listed, INSTRUCTION])
    return replace(
        row,
        prompt=(*before, Turn(last.role, asked)),
        answer=letters[row.gold],
        aliases=(),
        choices=letters,
    )
