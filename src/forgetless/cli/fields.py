"""``--fields``: what columns are called, in commands without a plan that could say so."""

from __future__ import annotations

from typing import Annotated

import typer

from forgetless.errors import UsageError

Fields = Annotated[
    str | None,
    typer.Option(
        "--fields",
        metavar="OURS=COLUMN,...",
        help="Columns that have other names, e.g. prompt=question_text,completion=reply; data "
        "without them are read as they are.",
    ),
]


def read_fields(text: str | None) -> dict[str, str]:
    """Our field names to those of the data.

    Raises:
        UsageError: if a part has no two names.

    Example:
        >>> read_fields("prompt=frage, completion=antwort")
        {'prompt': 'frage', 'completion': 'antwort'}
    """
    found = {}
    for pair in text.split(",") if text is not None else ():
        ours, _, theirs = (part.strip() for part in pair.partition("="))
        if not ours or not theirs:
            raise UsageError(
                f"--fields {text}: found {pair!r}, needed OURS=COLUMN",
                fix="e.g.  --fields prompt=your_column,completion=another",
            )
        found[ours] = theirs
    return found
