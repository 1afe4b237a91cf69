"""Numbers and texts read the same everywhere, and hide nothing."""

from __future__ import annotations

import pytest

from forgetless.report.wording import (
    clipped,
    count,
    duration,
    interval,
    listing,
    number,
    quantity,
    scale,
    score,
)
from forgetless.showing import visible


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.78, "0.78"),
        (-0.78, "−0.78"),
        (0.004, "0.004"),
        (-0.004, "−0.004"),
        (0.0, "0.00"),
        (-0.0, "0.00"),
        (0.0001, "0.00"),
        (0.995, "0.99"),
        (-2.305, "−2.31"),
    ],
)
def test_a_number_has_two_decimals_and_small_ones_do_not_read_as_nothing(
    value: float, text: str
) -> None:
    assert number(value) == text


def test_differences_carry_their_sign() -> None:
    assert number(0.1, signed=True) == "+0.10"
    assert number(0.0, signed=True) == "0.00"
    assert interval(-0.1, 0.2, signed=True) == "−0.10 to +0.20"


def test_nats_carry_their_unit() -> None:
    assert score(-1.5, "nats") == "−1.50 nats per token"
    assert score(0.5, "accuracy") == "0.50"


def test_lists_are_cut_only_when_that_saves_something() -> None:
    assert listing([]) == ""
    assert listing(["a"]) == "a"
    assert listing(["a", "b", "c"], most=2) == "a, b and c"
    assert listing(["a", "b", "c", "d"], most=2, noun="tasks") == "a, b and 2 tasks"


def test_counts_agree_with_their_noun() -> None:
    assert count(1, "item") == "1 item"
    assert count(0, "item") == "0 items"
    assert count(2, "loss", "losses") == "2 losses"


def test_quantities_durations_and_sizes_are_short() -> None:
    assert quantity(5e-5) == "5e-05"
    assert quantity(1234.5) == "1,234"
    assert duration(59.96) == "60.0 s"
    assert duration(61) == "1 min 1 s"
    assert duration(3661) == "1 h 1 min"
    assert scale(7_000_000_000) == "7.0 B"
    assert scale(12) == "12"


def test_what_is_hidden_in_a_text_becomes_visible() -> None:
    assert visible("a\tb\nc") == "a\tb\nc"
    assert visible("\x1b[31m") == "␛[31m"
    assert visible("\x00\x7f") == "␀␡"
    assert visible("a\u202eb\u2066c") == "a⟨RLO⟩b⟨LRI⟩c"
    assert visible("\ud800") == "\N{REPLACEMENT CHARACTER}"
    assert visible("naïve 日本語 العربية") == "naïve 日本語 العربية"


def test_a_clipped_text_keeps_its_length_and_one_line() -> None:
    assert clipped("a  b\nc", 10) == "a b c"
    assert clipped("abcdef", 4) == "abc…"
    assert len(clipped("word " * 50, 20)) <= 20
