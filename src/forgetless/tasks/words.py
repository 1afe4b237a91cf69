"""What a word is, in any script: letters and digits, with the marks that stand on them.

Patterns know no combining marks, without which a word of Hindi falls to pieces; and where a script
writes no spaces, the end of a word cannot be seen.
"""

from __future__ import annotations

import re
import unicodedata

# What stands for every combining mark: on a letter, and on a character of an unspaced script.
_MARK, _UNSPACED_MARK = "\u0300", "\u0301"
_MARKS = f"[{_MARK}{_UNSPACED_MARK}]"
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    r"\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"  # kana and ideographs
)
_RUN = rf"(?:[^\W_]{_MARKS}*)+"
_WORD = re.compile(rf"{_RUN}(?:['’\-]{_RUN})*")
_PIECE = re.compile(rf"[{_UNSPACED}]{_UNSPACED_MARK}*|(?:[^\W{_UNSPACED}]{_MARK}*)+")
_CHARACTER = re.compile(f"[{_UNSPACED}]")
_BEGINS = re.compile(rf"(?!{_MARKS})(?:(?<![^\W{_UNSPACED}])(?<!{_MARK})|(?=[{_UNSPACED}]))")
_ENDS = re.compile(rf"(?!{_MARKS})(?:(?![^\W{_UNSPACED}])|(?<=[{_UNSPACED}{_UNSPACED_MARK}]))")


def words(text: str) -> list[str]:
    """Runs of letters and digits, with apostrophes and hyphens inside.

    >>> words("It's a well-known fact: 3 of 4.")
    ["It's", 'a', 'well-known', 'fact', '3', 'of', '4']
    """
    return _found(_WORD, text)


def pieces(text: str) -> list[str]:
    """Runs of letters, digits and underscores; each character of an unspaced script by itself.

    >>> pieces("25mg, twice-daily"), pieces("北京 is हिन्दी")
    (['25mg', 'twice', 'daily'], ['北', '京', 'is', 'हिन्दी'])
    """
    return _found(_PIECE, text)


def unspaced(text: str) -> int:
    """How many characters of scripts that write words without spaces there are in a text."""
    return len(_CHARACTER.findall(text))


def holds(text: str, wanted: str) -> bool:
    """Whether a text has a phrase in it that neither begins nor ends within a word.

    Beside a character of an unspaced script any word may end.

    >>> holds("the cat", "cat"), holds("the cats", "cat"), holds("首都是北京。", "北京")
    (True, False, True)
    """
    shown = _shown(text)
    starts = (found.start() for found in re.finditer(f"(?={re.escape(wanted)})", text))
    return any(
        _BEGINS.match(shown, start) and _ENDS.match(shown, start + len(wanted)) for start in starts
    )


def _found(pattern: re.Pattern[str], text: str) -> list[str]:
    return [text[match.start() : match.end()] for match in pattern.finditer(_shown(text))]


def _shown(text: str) -> str:
    """The text with one of two marks for each that stands on a letter or a digit."""
    if text.isascii():
        return text
    shown: list[str] = []
    mark = ""  # of the last character; empty where none can stand on it
    for character in text:
        if mark and unicodedata.category(character).startswith("M"):
            shown.append(mark)
            continue
        shown.append(character)
        unspaced = _CHARACTER.match(character)
        mark = (_UNSPACED_MARK if unspaced else _MARK) if character.isalnum() else ""
    return "".join(shown)
