"""What each token adds to a text, whatever the kind of tokenizer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from forgetless.serving.asking import _columns
from forgetless.serving.forms import TextForm
from forgetless.serving.generating import Token
from forgetless.serving.texts import Reading

TEXT = "Größe: 5 €, 鱼 und 🐟!"


@pytest.fixture
def words() -> Any:
    """A tokenizer whose decoder leaves out a space at the beginning, as SentencePiece's does."""
    numbers = {"▁A": 0, "A": 1, "▁B": 2, "B": 3, "x": 4}
    made = Tokenizer(models.WordLevel(numbers, "x"))
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=made)


def bytes_of(folder: Path) -> Any:
    """The tiny model's tokenizer, which has a token for each byte."""
    return AutoTokenizer.from_pretrained(folder)


def sent_of(tops: tuple[tuple[str, float], ...]) -> dict[str, float]:
    """The likeliest tokens at a place as ``/completions`` sends them."""
    form = TextForm.model_validate({"model": "tiny", "prompt": "x"})
    (sent,) = _columns([Token(*tops[0], tops)], form, 0)["top_logprobs"]
    return dict(sent)


def test_tokens_add_up_to_the_text_and_a_character_comes_with_its_last(tiny_model: Path) -> None:
    tokenizer = bytes_of(tiny_model)
    ids = tokenizer(TEXT)["input_ids"]
    reading = Reading(tokenizer)
    added = [reading.add(token) for token in ids]
    assert "".join(added) == TEXT
    assert added[:5] == ["G", "r", "", "ö", ""]
    assert reading.rest() == ""


def test_what_never_became_a_character_is_the_rest(tiny_model: Path) -> None:
    tokenizer = bytes_of(tiny_model)
    ids = tokenizer("a 🐟")["input_ids"][:-1]
    reading = Reading(tokenizer)
    assert "".join(map(reading.add, ids)) + reading.rest() == "a \N{REPLACEMENT CHARACTER}"


def test_spaces_between_words_stay(words: Any) -> None:
    assert [*map(Reading(words).add, [0, 2, 3, 0])] == ["A", " B", "B", " A"]
    assert Reading(words, [4, 0]).add(2) == " B"


def test_a_long_text_is_not_decoded_again_for_each_token(tiny_model: Path) -> None:
    class Counted:
        longest = 0
        tokenizer = bytes_of(tiny_model)

        def decode(self, ids: list[int], **settings: Any) -> Any:
            self.longest = max(self.longest, len(ids))
            return self.tokenizer.decode(ids, **settings)

    counted = Counted()
    reading = Reading(counted, counted.tokenizer(TEXT)["input_ids"])
    for token in counted.tokenizer(TEXT * 10)["input_ids"]:
        reading.add(token)
    assert counted.longest <= 12


def test_two_likely_tokens_that_differ_in_a_space_are_two(words: Any) -> None:
    logprobs = torch.log_softmax(torch.tensor([3.0, -2.0, 2.0, 1.9, -9.0]), 0)
    tops = Reading(words, [4]).likeliest(logprobs, 4)
    assert [text for text, _ in tops] == [" A", " B", "B", "A"]
    sent = sent_of(tops)
    letter = math.log(math.exp(sent[" A"]) + math.exp(sent["A"]))
    assert letter == pytest.approx(torch.logsumexp(logprobs[:2], 0).item())


def test_of_tokens_with_one_text_the_likeliest_is_told(tiny_model: Path) -> None:
    """Each of them is a byte of some character."""
    tokenizer = bytes_of(tiny_model)
    first, second = tokenizer("é🐟")["input_ids"][:3:2]
    logits = torch.full((len(tokenizer),), -20.0)
    logits[[first, second]] = torch.tensor([2.0, 1.0])
    logprobs = torch.log_softmax(logits, 0)
    tops = Reading(tokenizer).likeliest(logprobs, 2)
    assert [*sent_of(tops).values()] == [float(logprobs[first])]
