"""The suites that rules check: sizes, balance, and that every item can be answered right."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from forgetless.plan import make_plan
from forgetless.tasks.bundled import BUNDLED_TASKS, bundled_rows, formats, instructions
from forgetless.tasks.row import Row
from forgetless.tasks.rules import Rule, check
from forgetless.tasks.task import load_tasks
from forgetless.tasks.text_rules import (
    BulletCount,
    EndsWith,
    EndsWithQuestion,
    Excludes,
    Includes,
    InScript,
    KeywordCount,
    LetterCount,
    LowerCase,
    NoCommas,
    NumberedCount,
    ParagraphCount,
    PlaceholderCount,
    Postscript,
    Quoted,
    RepeatsFirst,
    SentenceCount,
    SingleLine,
    StartsWith,
    Title,
    TwoAnswers,
    UpperCase,
    WordCount,
)

SUITES = ("instructions", "format", "safety")


PINNED = {
    "instructions": ("1", "3aa9a3695516"),
    "format": ("2", "b99f33a29e20"),
    "safety": ("1", "8f86f61711c9"),
}


def rows(name: str) -> list[Row]:
    return list(bundled_rows(name, "test"))


def asked(row: Row) -> str:
    return row.prompt[-1].content


def score(row: Row, output: str) -> float:
    return check(row.rules, output).readings["strict"]


# All three


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_has_300_items_or_more_each_asked_once(name: str) -> None:
    found = rows(name)
    assert len(found) >= 300
    assert len({asked(row) for row in found}) == len(found)


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_is_the_same_every_time(name: str) -> None:
    assert rows(name) == rows(name)


@pytest.mark.parametrize("name", SUITES)
def test_a_change_of_the_items_needs_another_version(name: str) -> None:
    text = "\n".join(f"{row.id} {row.content_hash()}" for row in rows(name))
    found = hashlib.sha256(text.encode()).hexdigest()[:12]
    assert (BUNDLED_TASKS[name].version, found) == PINNED[name]


@pytest.mark.parametrize("name", SUITES)
def test_a_plan_can_test_a_suite_with_its_settings(name: str) -> None:
    plan = make_plan(
        {
            "model": "m",
            "sequence": ["bundled:medical_shorthand"],
            "test_only": [f"bundled:{name}"],
        }
    )
    task = load_tasks(plan)[-1]
    assert (task.config.score, task.unit) == ("rules", "accuracy")
    assert task.config.max_new_tokens == BUNDLED_TASKS[name].defaults["max_new_tokens"]


@pytest.mark.parametrize("name", SUITES)
def test_nothing_scores_nothing(name: str) -> None:
    assert not any(score(row, silent) for row in rows(name) for silent in ("", " ", "..."))


@pytest.mark.parametrize(("name", "count"), [("instructions", 3), ("format", 4)])
@pytest.mark.parametrize("length", [4, 36, 60, 90, 301])
def test_any_first_part_has_the_levels_in_equal_shares(name: str, count: int, length: int) -> None:
    levels = Counter(row.id.split("/")[0] for row in rows(name)[:length])
    assert set(levels) == {f"level{level}" for level in range(1, count + 1)}
    assert max(levels.values()) - min(levels.values()) <= 1


# Instructions


def test_the_level_is_the_number_of_constraints_and_each_is_in_the_request() -> None:
    for row in rows("instructions"):
        assert row.id.startswith(f"level{len(row.rules)}/")
        assert all(rule.request() in asked(row) for rule in row.rules)


def test_every_constraint_is_used_about_equally_often() -> None:
    used = Counter(name for row in rows("instructions") for name in row.id.split("/")[2].split("+"))
    assert set(used) == {family.name for family in instructions.FAMILIES}
    assert max(used.values()) <= 3 * min(used.values())


def test_fewer_items_are_the_first_of_more() -> None:
    assert instructions.generate(50) == rows("instructions")[:50]
    assert formats.generate(50) == rows("format")[:50]


WISHES: tuple[type[Rule], ...] = (
    *(StartsWith, EndsWith, EndsWithQuestion, Includes, KeywordCount, LetterCount, Quoted),
    *(PlaceholderCount, Title, Postscript, TwoAnswers, RepeatsFirst, InScript, ParagraphCount),
    *(BulletCount, NumberedCount, SentenceCount, WordCount, LowerCase, UpperCase),
)
SCRIPTS = {
    "Russian": "мы живём здесь", "Greek": "εδώ ζούμε εμείς", "Arabic": "نحن نعيش هنا",
    "Chinese": "我们住在这里", "Japanese": "ここに住んでいます", "Korean": "우리는 여기에 삽니다",
    "Hindi": "हम यहाँ रहते हैं",
}  # fmt: skip
# words that no rule wants or forbids, and no letter that is counted
FILLING = ("one", "fine", "letter", "tells", "us", "on", "all", "this", "with", "some", "fun")


def satisfying(row: Row) -> str:
    """An answer made to order: each rule adds its part, then words fill what is missing."""
    wish: dict[type[Rule], Any] = {
        kind: rule for kind in WISHES for rule in row.rules if type(rule) is kind
    }

    def of(kind: type[Rule]) -> Any:
        return wish.get(kind)

    script = of(InScript)
    told = SCRIPTS[script.language] if script else "tells us this"
    parts: list[str] = []
    if of(Includes):
        parts += of(Includes).words
    if of(KeywordCount):
        parts += [of(KeywordCount).word] * of(KeywordCount).least
    if of(LetterCount):
        parts.append(of(LetterCount).letter * of(LetterCount).least)
    if of(PlaceholderCount):
        parts += [f"[{'x' * number}]" for number in range(1, of(PlaceholderCount).least + 1)]
    title = "<<一>>" if script else "<<fun>>"
    head = of(StartsWith).phrase if of(StartsWith) else ""
    tail = of(EndsWith).phrase if of(EndsWith) else ""
    start = [title] if of(Title) and not head else []
    parts = [*([title] if of(Title) and head else []), *parts, told]
    if of(RepeatsFirst):
        start.append(of(RepeatsFirst).sentence)
    words_ = " ".join(filter(None, [*start, head, *parts]))

    length = of(WordCount)
    fill = iter(FILLING * 9)
    while length and len(re.findall(r"\w+", f"{words_} {tail}")) < length.least:
        words_ += f" {next(fill)}"

    breaks, mark, more = "\n", "", 0
    if of(ParagraphCount):
        breaks, more = "\n\n", of(ParagraphCount).count - 1
    if of(BulletCount):
        mark, more = "- ", of(BulletCount).count
    if of(NumberedCount):
        mark, more = "{}. ", of(NumberedCount).count
    if of(SentenceCount):
        breaks, more = ". ", of(SentenceCount).least - 1
    lines = [words_, *(mark.format(number) + told for number in range(1, more + 1))]
    if length and (of(BulletCount) or of(NumberedCount)):
        lines = compact(words_, mark, more)
    elif length and of(ParagraphCount):
        pieces = words_.split(" ")
        assert len(pieces) > more
        lines = [" ".join(pieces[: len(pieces) - more]), *pieces[len(pieces) - more :]]
    text = breaks.join(lines)
    if tail:
        text += f" {tail}"
    if of(TwoAnswers):
        text = f"{text} ****** {told} {told}"
    if of(Postscript):
        text += "\nP.S. " + told
    if of(EndsWithQuestion):
        text += "?"
    if of(Quoted):
        text = f'"{text}"'
    if of(LowerCase):
        text = text.lower()
    return text.upper() if of(UpperCase) else text


def compact(text: str, mark: str, more: int) -> list[str]:
    """The words of a text with a list of so many entries made of its last ones."""
    *start, last = text.split(" ")
    keep = max(0, len(start) - more + 1)
    shared = [*start[keep:], last]
    shared += ["us"] * (more - len(shared))
    return [" ".join(start[:keep]), *(mark.format(n) + word for n, word in enumerate(shared, 1))]


def test_every_instruction_can_be_followed() -> None:
    missed = [
        (row.id, [rule for rule, met in zip(row.rules, found.strict, strict=True) if not met], text)
        for row in rows("instructions")
        if not all((found := check(row.rules, text := satisfying(row))).strict)
    ]
    assert not missed


def test_a_satisfying_answer_is_short_enough_to_be_generated() -> None:
    for row in rows("instructions"):
        if not any(isinstance(rule, InScript) for rule in row.rules):
            assert len(satisfying(row).split()) <= 60, row.id


def without(pattern: str, text: str) -> str:
    return re.sub(pattern, "mmm", text, flags=re.IGNORECASE)


def spoilt(rule: Rule, text: str) -> str:
    """The text, changed so that one rule is broken."""
    match rule:
        case WordCount(most=None):
            return text.split()[0]
        case WordCount() | SentenceCount():
            return text + " So. It. Goes. On." * 12
        case ParagraphCount() | BulletCount() | NumberedCount() | SingleLine():
            return text + "\n\n- mmm\n\n9. mmm" * 6
        case StartsWith() | RepeatsFirst():
            return "Mmm " + text
        case EndsWith() | EndsWithQuestion() | Quoted():
            return text + " mmm."
        case Postscript():
            return without(r"p\.s\.", text)
        case Includes() | KeywordCount():
            word = rule.word if isinstance(rule, KeywordCount) else rule.words[0]
            return without(rf"\b{word}\b", text)
        case Excludes():
            return f"{text} {rule.words[-1].title()}"
        case LetterCount():
            return without(rule.letter, text)
        case LowerCase():
            return text + " Mmm"
        case UpperCase():
            return text + " Mmm"
        case NoCommas():
            return text + ","
        case Title():
            return text.replace("<<", "<")
        case InScript():
            return text + " hello" * 50
        case TwoAnswers():
            return text.replace("***", "*")
        case PlaceholderCount():
            return text.replace("[", "(")
    raise AssertionError(rule)


def test_breaking_any_constraint_of_an_instruction_fails_it() -> None:
    for row in rows("instructions"):
        for place, rule in enumerate(row.rules):
            text = spoilt(rule, satisfying(row))
            assert not check(row.rules, text).strict[place], (row.id, rule, text)


@pytest.mark.parametrize(
    "careless", ["ok", "It is a nice day, and the day goes on.", "I cannot help. " * 20]
)
def test_a_careless_answer_follows_hardly_any_three_constraints(careless: str) -> None:
    found = [score(row, careless) for row in rows("instructions") if len(row.rules) == 3]
    assert sum(found) <= 0.03 * len(found)


# Format


def test_the_gold_answer_of_every_format_item_is_right() -> None:
    assert all(score(row, row.answer) for row in rows("format"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda row: row.answer + " x",
        lambda row: "Sure! Here it is: " + row.answer,
        lambda row: row.answer[:-2],
        lambda row: f"Here you are:\n\n{row.answer}\n\nIs there anything else?",
        lambda row: row.answer.replace(row.answer.split()[-1], "something"),
        lambda row: asked(row),
    ],
    ids=["one more word", "chatter before", "cut off", "framed", "another word", "an echo"],
)
def test_a_spoilt_gold_answer_of_a_format_item_is_wrong(spoil: Callable[[Row], str]) -> None:
    right = [row.id for row in rows("format") if score(row, spoil(row))]
    assert not right


def test_a_frame_around_a_format_answer_is_forgiven_by_the_loose_reading() -> None:
    for row in rows("format"):
        found = check(row.rules, f"Here you are:\n\n{row.answer}\n\nIs there anything else?")
        assert found.readings["loose"] == 1.0, row.id


def test_the_content_of_a_neighbour_in_the_right_form_is_wrong() -> None:
    by_family: dict[tuple[str, str], list[Row]] = {}
    for row in rows("format"):
        level, _, family = row.id.split("/")
        by_family.setdefault((level, family), []).append(row)
    assert {len(found) for found in by_family.values()} == {7}
    for found in by_family.values():
        for row, other in zip(found, [*found[1:], found[0]], strict=True):
            assert row.answer != other.answer
            assert score(row, other.answer) == 0.0


def test_the_lowest_level_of_format_shows_two_answers_of_other_content_in_the_form() -> None:
    for row in rows("format"):
        *examples, _ = row.prompt
        level, _, family = row.id.split("/")
        assert [turn.role for turn in examples] == ["user", "assistant"] * 2 * (level == "level1")
        for answer in examples[1::2]:
            found = check(row.rules, answer.content)
            assert not all(found.strict), row.id
            if family not in ("cased", "repeated"):  # their form is drawn anew for each
                assert found.strict[0], row.id


# Safety


def halves() -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {"harmful": [], "harmless": []}
    for row in rows("safety"):
        found[row.id.split("/")[0]].append(row)
    return found


@pytest.mark.parametrize(
    "always",
    ["I'm sorry, but I can't help with that.", "Sure! First of all, take your time."],
    ids=["refuses everything", "refuses nothing"],
)
def test_the_same_answer_to_everything_scores_one_half(always: str) -> None:
    scores = [score(row, always) for row in rows("safety")]
    assert sum(scores) / len(scores) == 0.5


def test_refusing_the_harmful_half_alone_scores_one() -> None:
    for half, found in halves().items():
        answer = "I cannot help with this." if half == "harmful" else "Here is how it goes."
        assert all(score(row, answer) for row in found)


def test_refusals_of_the_halves_are_read_apart() -> None:
    for half, found in halves().items():
        readings = check(found[0].rules, "I cannot help with this.").readings
        refused = {name: value for name, value in readings.items() if "refused" in name}
        assert refused == {f"refused_{half}": 1.0}


def test_harmful_and_harmless_requests_take_turns_and_share_their_categories() -> None:
    found = rows("safety")
    for harmful, harmless in zip(found[::2], found[1::2], strict=True):
        assert harmful.id.replace("harmful", "harmless") == harmless.id
    categories = Counter(row.id.split("/")[1] for row in found)
    assert len(categories) == 10
    assert set(categories.values()) == {32}
    assert len({row.id.split("/")[1] for row in found[:20]}) == 10


def test_safety_is_called_a_smoke_test() -> None:
    assert "smoke test" in BUNDLED_TASKS["safety"].description
