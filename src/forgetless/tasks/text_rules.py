"""Rules about wording and layout: lengths, words, beginnings and endings, case, script.

Words are runs of letters and digits, with apostrophes and hyphens inside.  Phrases and words are
compared whatever their case and spacing.  A rule that only forbids wants something said too
(:func:`says_something`), or it would be met by saying next to nothing.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from forgetless.tasks.rules import Rule
from forgetless.tasks.words import unspaced, words

SAYS = 3  # words, or characters of a script that writes words without spaces

_SENTENCE_END = re.compile(r"(?<=[.!?…。！？।])[\"'”’)\]*]*(?:\s+|$)|(?<=[。！？])|\n+")
_ABBREVIATION = re.compile(
    r"\b(?:mr|mrs|ms|dr|st|vs|e\.g|i\.e|p\.s|p\.p\.s)\.(?=\s)", re.IGNORECASE
)
_MARKER = re.compile(r"^\s*(?:[-*•+]|\d{1,3}[.)])\s+", re.MULTILINE)
_BULLET = re.compile(r"\s*[-*•+]\s+(\S.*)")
_NUMBERED = re.compile(r"\s*(\d{1,3})[.)]\s+(\S.*)")
_POSTSCRIPT = re.compile(r"^[ \t]*p\.[ \t]?s\.:?[ \t]*\w", re.MULTILINE | re.IGNORECASE)
_TITLE = re.compile(r"<<([^<>\n]+)>>")
_QUOTES = {'"': '"', "“": "”", "«": "»", "„": "“"}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

Alphabet = Literal[
    "Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Devanagari", "Chinese", "Japanese", "Korean"
]
_SCRIPTS: dict[Alphabet, tuple[str, ...]] = {
    "Latin": ("LATIN",),
    "Cyrillic": ("CYRILLIC",),
    "Greek": ("GREEK",),
    "Arabic": ("ARABIC",),
    "Hebrew": ("HEBREW",),
    "Devanagari": ("DEVANAGARI",),
    "Chinese": ("CJK UNIFIED",),
    "Japanese": ("HIRAGANA", "KATAKANA", "CJK UNIFIED"),
    "Korean": ("HANGUL",),
}
_KANA = ("HIRAGANA", "KATAKANA")
MOSTLY = 0.8  # share of the letters that makes a text one of a script


def says_something(text: str) -> bool:
    """Whether a text has ``SAYS`` words, or as many characters of an unspaced script.

    >>> says_something("oh well"), says_something("ここに住む")
    (False, True)
    """
    return max(len(words(text)), unspaced(text)) >= SAYS


def sentences(text: str) -> list[str]:
    """The sentences of a text; a new line ends one too, and a list's marker is none.

    >>> sentences("Dr. Lee paid 3.50. Why? No idea")
    ['Dr Lee paid 3.50.', 'Why?', 'No idea']
    """
    text = _ABBREVIATION.sub(lambda found: found[0][:-1], _MARKER.sub("", text))
    parts = (part.strip() for part in _SENTENCE_END.split(text))
    return [part for part in parts if words(part)]


def bullets(text: str) -> list[str]:
    """What stands after the bullets of a text."""
    return [found[1].strip() for line in text.split("\n") if (found := _BULLET.match(line))]


def numbered(text: str) -> list[str] | None:
    """The entries of a list numbered 1, 2, 3 and so on; None if the numbers are others."""
    found = [match for line in text.split("\n") if (match := _NUMBERED.match(line))]
    right = [int(match[1]) for match in found] == list(range(1, len(found) + 1))
    return [match[2].strip() for match in found] if right else None


def plainly(text: str) -> str:
    """For comparison whatever the case, the spacing and the kind of apostrophe."""
    return " ".join(text.casefold().replace("’", "'").split())


def _times(text: str, word: str) -> int:
    return len(re.findall(rf"(?<!\w){re.escape(plainly(word))}(?!\w)", plainly(text)))


def _number(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def _count(count: int, noun: str) -> str:
    return f"{_number(count)} {noun}{'' if count == 1 else 's'}"


def _span(least: int, most: int | None, noun: str) -> str:
    if most is None:
        return f"at least {_count(least, noun)}"
    return f"exactly {_count(most, noun)}" if least == most else f"at most {_count(most, noun)}"


def _quoted(items: tuple[str, ...], last: str) -> str:
    shown = [f'"{item}"' for item in items]
    return f" {last} ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))


@dataclass(frozen=True, slots=True)
class WordCount(Rule):
    """Number of words, bounds included; ``most=None`` is no bound."""

    least: int = 1
    most: int | None = None

    def met(self, text: str) -> bool:
        return self.least <= len(words(text)) <= (self.most or len(text))

    def request(self) -> str:
        return f"Use {_span(self.least, self.most, 'word')}."


@dataclass(frozen=True, slots=True)
class SentenceCount(Rule):
    """Number of sentences, bounds included."""

    least: int = 1
    most: int | None = None

    def met(self, text: str) -> bool:
        return self.least <= len(sentences(text)) <= (self.most or len(text))

    def request(self) -> str:
        return f"Write {_span(self.least, self.most, 'sentence')}."


@dataclass(frozen=True, slots=True)
class ParagraphCount(Rule):
    """Exact number of paragraphs, which blank lines separate."""

    count: int

    def met(self, text: str) -> bool:
        return len([part for part in re.split(r"\n\s*\n", text) if part.strip()]) == self.count

    def request(self) -> str:
        return f"Write exactly {_count(self.count, 'paragraph')} with a blank line between them."


@dataclass(frozen=True, slots=True)
class BulletCount(Rule):
    """Exact number of bullet points."""

    count: int

    def met(self, text: str) -> bool:
        return len(bullets(text)) == self.count

    def request(self) -> str:
        return (
            f"Include exactly {_count(self.count, 'bullet point')}, each on its own line "
            'that starts with "- ".'
        )


@dataclass(frozen=True, slots=True)
class NumberedCount(Rule):
    """A numbered list of so many entries, numbered from 1 in order."""

    count: int

    def met(self, text: str) -> bool:
        found = numbered(text)
        return found is not None and len(found) == self.count

    def request(self) -> str:
        return (
            f"Include a numbered list of exactly {_count(self.count, 'entry')}"
            ', written "1.", "2." and so on.'
        ).replace("entrys", "entries")


@dataclass(frozen=True, slots=True)
class StartsWith(Rule):
    """The text begins with a phrase."""

    phrase: str

    def met(self, text: str) -> bool:
        phrase = re.escape(plainly(self.phrase))
        return re.match(rf"{phrase}(?!\w)", plainly(text)) is not None

    def request(self) -> str:
        return f'Begin with the words "{self.phrase}".'


@dataclass(frozen=True, slots=True)
class EndsWith(Rule):
    """The text ends with a phrase; nothing but closing punctuation may follow."""

    phrase: str

    def met(self, text: str) -> bool:
        text = plainly(text)
        last = next((n for n in range(len(text), 0, -1) if text[n - 1].isalnum()), 0)
        return re.search(rf"(?<!\w){re.escape(plainly(self.phrase))}$", text[:last]) is not None

    def request(self) -> str:
        return f'End with the words "{self.phrase}" and nothing after them.'


@dataclass(frozen=True, slots=True)
class EndsWithQuestion(Rule):
    """The last character is a question mark, after a word."""

    def met(self, text: str) -> bool:
        return text.rstrip("\"'”’)*").endswith(("?", "？", "؟"))

    def request(self) -> str:
        return "End with a question."


@dataclass(frozen=True, slots=True)
class Postscript(Rule):
    """A line after the text is a postscript."""

    def met(self, text: str) -> bool:
        found = _POSTSCRIPT.search(text)
        return found is not None and says_something(text[: found.start()])

    def request(self) -> str:
        return 'After the text add a line with a postscript that starts with "P.S.".'


@dataclass(frozen=True, slots=True)
class Includes(Rule):
    """Every one of some words occurs."""

    words: tuple[str, ...]

    def met(self, text: str) -> bool:
        return all(_times(text, word) for word in self.words)

    def request(self) -> str:
        noun = "word" if len(self.words) == 1 else "words"
        return f"Include the {noun} {_quoted(self.words, 'and')}."


@dataclass(frozen=True, slots=True)
class Excludes(Rule):
    """None of some words occurs."""

    words: tuple[str, ...]

    def met(self, text: str) -> bool:
        return says_something(text) and not any(_times(text, word) for word in self.words)

    def request(self) -> str:
        noun = "word" if len(self.words) == 1 else "words"
        return f"Do not use the {noun} {_quoted(self.words, 'or')}."


@dataclass(frozen=True, slots=True)
class KeywordCount(Rule):
    """A word occurs so many times, bounds included."""

    word: str
    least: int
    most: int | None = None

    def met(self, text: str) -> bool:
        return self.least <= _times(text, self.word) <= (self.most or len(text))

    def request(self) -> str:
        return f'Use the word "{self.word}" {_span(self.least, self.most, "time")}.'


@dataclass(frozen=True, slots=True)
class LetterCount(Rule):
    """A letter, small or capital, occurs at least so many times."""

    letter: str
    least: int

    def met(self, text: str) -> bool:
        return text.casefold().count(self.letter.casefold()) >= self.least

    def request(self) -> str:
        return f'Use the letter "{self.letter}" at least {_count(self.least, "time")}.'


@dataclass(frozen=True, slots=True)
class LowerCase(Rule):
    """No capital letter anywhere."""

    def met(self, text: str) -> bool:
        return says_something(text) and text.islower() and not _has(text, "Lu", "Lt")

    def request(self) -> str:
        return "Write everything in small letters, with no capital letters at all."


@dataclass(frozen=True, slots=True)
class UpperCase(Rule):
    """No small letter anywhere."""

    def met(self, text: str) -> bool:
        return says_something(text) and text.isupper() and not _has(text, "Ll", "Lt")

    def request(self) -> str:
        return "Write everything in CAPITAL LETTERS, with no small letters at all."


def _has(text: str, *categories: str) -> bool:
    return any(unicodedata.category(character) in categories for character in text)


@dataclass(frozen=True, slots=True)
class NoCommas(Rule):
    """No comma of any script."""

    def met(self, text: str) -> bool:
        return says_something(text) and not set(text) & set(",，、،")

    def request(self) -> str:
        return "Do not use any commas."


@dataclass(frozen=True, slots=True)
class Title(Rule):
    """There is a title in double angle brackets, and more than the title."""

    def met(self, text: str) -> bool:
        titled = any(words(title) for title in _TITLE.findall(text))
        return titled and says_something(_TITLE.sub("", text))

    def request(self) -> str:
        return "Give it a title in double angle brackets, as in <<My title>>."


@dataclass(frozen=True, slots=True)
class Quoted(Rule):
    """The whole text stands in double quotation marks."""

    def met(self, text: str) -> bool:
        return len(text) > 2 and text[-1] == _QUOTES.get(text[0])

    def request(self) -> str:
        return "Put your whole answer in double quotation marks."


@dataclass(frozen=True, slots=True)
class SingleLine(Rule):
    """There is no line break."""

    def met(self, text: str) -> bool:
        return says_something(text) and len(text.splitlines()) == 1

    def request(self) -> str:
        return "Write everything on one single line, without line breaks."


@dataclass(frozen=True, slots=True)
class InScript(Rule):
    """Most letters are of one script; ``language`` is what the request calls it."""

    alphabet: Alphabet
    language: str

    def met(self, text: str) -> bool:
        names = [unicodedata.name(letter, "") for letter in text if letter.isalpha()]
        if self.alphabet == "Japanese" and not any(name.startswith(_KANA) for name in names):
            return False  # ideographs alone are Chinese
        matching = sum(name.startswith(_SCRIPTS[self.alphabet]) for name in names)
        return matching >= max(SAYS, MOSTLY * len(names))

    def request(self) -> str:
        return f"Write your whole answer in {self.language}."


@dataclass(frozen=True, slots=True)
class RepeatsFirst(Rule):
    """The text repeats a sentence first, and then goes on."""

    sentence: str

    def met(self, text: str) -> bool:
        start, text = plainly(self.sentence), plainly(text).lstrip("\"'“")
        return text.startswith(start) and says_something(text[len(start) :])

    def request(self) -> str:
        return "First repeat the sentence above word for word, then write your answer."


@dataclass(frozen=True, slots=True)
class TwoAnswers(Rule):
    """Two different answers with six asterisks between them."""

    def met(self, text: str) -> bool:
        parts = [plainly(part) for part in re.split(r"(?<!\*)\*{6}(?!\*)", text)]
        return len(parts) == 2 and parts[0] != parts[1] and all(map(words, parts))

    def request(self) -> str:
        return "Give two different answers with six asterisks between them: ******"


@dataclass(frozen=True, slots=True)
class PlaceholderCount(Rule):
    """At least so many different placeholders in square brackets."""

    least: int

    def met(self, text: str) -> bool:
        found = re.findall(r"\[([^\[\]\n]*\w[^\[\]\n]*)\]", text)
        return len({plainly(name) for name in found}) >= self.least

    def request(self) -> str:
        different = "" if self.least == 1 else "different "
        return (
            f"Use at least {_number(self.least)} {different}"
            f"placeholder{'' if self.least == 1 else 's'} in square brackets, such as [name]."
        )
