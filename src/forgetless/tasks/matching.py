"""Whether a generated answer is right: normalisation, exact match, containment, token F1, number.

Normalisation, stated once and used by all of them: Unicode NFKC, lower case, every run of
white space one space, surrounding white space and quotation marks removed, and one closing full
stop, comma, semicolon, colon, exclamation or question mark removed, unless nothing would be left:
``?`` is an answer too.  Articles are kept, unlike in
SQuAD's script, because in notation (``a``, ``an``) they can be the answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from forgetless.tasks.words import holds, pieces

_QUOTES = "\"'`“”‘’"
# 1,250,000 or 1250000, with or without decimals, .5, 1e3; a minus sign only where it cannot be a
# hyphen; no part of a word or a name (x19, x_19).  What digits, points, commas and fraction bars
# are joined to it comes second: with it, it is no number that we read (1.2.3, 3,4, 3/4)
_NUMBER = re.compile(
    r"(?<![^\W_])(?<![^\W_]_)(?<!\d[.,/⁄])"
    r"([-−]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|(?<!\.)\.\d+)"
    r"(?:[eE][-+−]?\d{1,4}(?![^\W_]))?)((?:\d+|[.,/⁄][-−]?\d+)*)"
)
_SUPERSCRIPT = re.compile("[⁰¹²³⁴-⁹⁺⁻]+")
_THIN_SPACE = re.compile("(?<=\\d)[\u00a0\u2009\u202f](?=\\d{3}(?!\\d))")
_NEXT_QUESTION = re.compile(r"^\s*question\s*:", re.IGNORECASE | re.MULTILINE)


def normalise(text: str) -> str:
    """Normalise an answer for comparison.

    >>> normalise('  "Ceftizoxime  25mg." ')
    'ceftizoxime 25mg'
    """
    text = " ".join(unicodedata.normalize("NFKC", text).lower().split())
    text = text.strip(_QUOTES + " ") or text
    return re.sub(r"[.,;:!?]$", "", text).strip(_QUOTES + " ") or text


def exact_match(output: str, golds: Sequence[str]) -> float:
    """1 if the output equals the answer or an alias after normalisation, else 0."""
    return float(normalise(output) in {normalise(gold) for gold in golds})


def contains(output: str, golds: Sequence[str]) -> float:
    """1 if the output contains the answer or an alias as whole words, else 0.

    >>> contains("That is Paris, of course.", ["paris"]), contains("Parisian", ["paris"])
    (1.0, 0.0)
    """
    text = normalise(output)
    return float(any(holds(text, wanted) for gold in golds if (wanted := normalise(gold))))


def token_f1(output: str, golds: Sequence[str]) -> float:
    """Harmonic mean of word precision and recall against the best of answer and aliases, in [0, 1].

    Words are runs of letters and digits of the normalised text, counted with repetition; where a
    script writes no spaces, its characters are.  An exact match is 1 even if it has no word in it,
    as in ``+``.

    Source: Rajpurkar et al. 2016 (SQuAD), section 6.1. Differs: articles count.

    >>> round(token_f1("a b c d", ["a b x"]), 3)
    0.571
    """
    if exact_match(output, golds):
        return 1.0
    words = Counter(pieces(normalise(output)))
    return max(_f1(words, Counter(pieces(normalise(gold)))) for gold in golds)


def _f1(words: Counter[str], wanted: Counter[str]) -> float:
    shared = (words & wanted).total()
    return 2 * shared / (words.total() + wanted.total()) if shared else 0.0


def number(output: str, golds: Sequence[str]) -> float:
    """1 if the last number of the output is the answer or an alias, else 0.

    Words around it do not matter, so ``12 + 7 = 19.`` answers as well as ``19``; another number
    after it does.  Thousands may be parted by commas or by spaces that do not break (others part
    two numbers).  Trailing zeros after the point do not count, nor do superscripts (a note, the
    power of a unit), and what follows a new ``Question:`` (models that only continue text write
    one) is not the answer.  Digits that are joined otherwise, as in ``3,4``, ``1.2.3``, ``3/4`` or
    ``½``, are a number that is not read: they match the same signs alone.  An answer without a
    number is matched by nothing.

    >>> number("12 + 7 = 19.", ["19"]), number("19 or 20", ["19"]), number("1,250.0", ["1250"])
    (1.0, 0.0, 1.0)
    """
    found = _last_number(_NEXT_QUESTION.split(output, maxsplit=1)[0])
    return float(found is not None and found in {_last_number(gold) for gold in golds})


def _last_number(text: str) -> Decimal | str | None:
    text = _THIN_SPACE.sub(",", _SUPERSCRIPT.sub(" ", text))
    found = _NUMBER.findall(unicodedata.normalize("NFKC", text))
    number, joined = found[-1] if found else ("", "")
    if joined:
        return number + joined
    return Decimal(number.replace(",", "").replace("−", "-")) if number else None


MATCHERS: Mapping[str, Callable[[str, Sequence[str]], float]] = {
    "exact_match": exact_match,
    "contains": contains,
    "token_f1": token_f1,
    "number": number,
}

READINGS = ("exact_match", "contains", "token_f1")
"""Matchers that say something about any answer; each is kept beside the one that counts."""
