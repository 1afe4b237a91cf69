"""Whether a generated answer is right: normalisation, exact match, containment, token F1.

Normalisation, stated once and used by all three: Unicode NFKC, lower case, every run of
white space one space, surrounding white space and quotation marks removed, and one closing full
stop, comma, semicolon, colon, exclamation or question mark removed.  Articles are kept, unlike in
SQuAD's script, because in notation (``a``, ``an``) they can be the answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

_QUOTES = "\"'`“”‘’"


def normalise(text: str) -> str:
    """Normalise an answer for comparison.

    >>> normalise('  "Ceftizoxime  25mg." ')
    'ceftizoxime 25mg'
    """
    text = " ".join(unicodedata.normalize("NFKC", text).lower().split())
    text = text.strip(_QUOTES + " ")
    return re.sub(r"[.,;:!?]$", "", text).strip(_QUOTES + " ")


def exact_match(output: str, golds: Sequence[str]) -> float:
    """1 if the output equals the answer or an alias after normalisation, else 0."""
    return float(normalise(output) in {normalise(gold) for gold in golds})


def contains(output: str, golds: Sequence[str]) -> float:
    """1 if the output contains the answer or an alias as whole words, else 0.

    >>> contains("That is Paris, of course.", ["paris"]), contains("Parisian", ["paris"])
    (1.0, 0.0)
    """
    text = normalise(output)
    return float(
        any(
            re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", text) is not None
            for gold in golds
            if (wanted := normalise(gold))
        )
    )


def token_f1(output: str, golds: Sequence[str]) -> float:
    """Harmonic mean of word precision and recall against the best of answer and aliases, in [0, 1].

    Words are runs of letters and digits of the normalised text, counted with repetition.  An exact
    match is 1 even if it has no word in it, as in ``+``.

    Source: Rajpurkar et al. 2016 (SQuAD), section 6.1. Differs: articles count.

    >>> round(token_f1("a b c d", ["a b x"]), 3)
    0.571
    """
    if exact_match(output, golds):
        return 1.0
    words = Counter(re.findall(r"\w+", normalise(output)))
    return max(_f1(words, Counter(re.findall(r"\w+", normalise(gold)))) for gold in golds)


def _f1(words: Counter[str], wanted: Counter[str]) -> float:
    shared = (words & wanted).total()
    return 2 * shared / (words.total() + wanted.total()) if shared else 0.0


MATCHERS: Mapping[str, Callable[[str, Sequence[str]], float]] = {
    "exact_match": exact_match,
    "contains": contains,
    "token_f1": token_f1,
}
