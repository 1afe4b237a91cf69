"""Multiple choice by letter: the choices stand in the prompt, and the answer is A, B, C or D.

Chat models and endpoints are asked in this way; what is scored is one token.  What is asked by
letter is taught by letter too, or a model would be tested on a form that it was not taught.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from string import ascii_uppercase
from typing import overload

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
        spelt=row,
    )


class Lettered(Sequence[Row]):
    """Rows as :func:`lettered` makes them, each when asked for; those without choices as they are.

    Args:
        rows: Rows with their choices in full.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return Lettered(self._rows[index])
        row = self._rows[index]
        return lettered(row) if row.choices else row
