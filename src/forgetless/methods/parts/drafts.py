"""Rows that the model writes by itself: free texts, and questions with their answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forgetless.errors import ModelError
from forgetless.methods.parts.sampling import sample
from forgetless.methods.stage import Workbench
from forgetless.tasks.render import Encoded, Renderer
from forgetless.tasks.row import Row, Turn

WORDS = "forgetless"  # stands for a user's words in the template


@dataclass(frozen=True)
class Draft:
    """A row that the model wrote.

    Attributes:
        example: The row as it would be learned.
        turns: Tokens of each turn, without the one that ends it.
        row: The row as text.
    """

    example: Encoded
    turns: list[list[int]]
    row: Row

    @property
    def text(self) -> str:
        """All of its turns."""
        return "\n".join([*(turn.content for turn in self.row.prompt), self.row.answer])


def texts(
    bench: Workbench, count: int, max_new_tokens: int, temperature: float, rng: np.random.Generator
) -> list[Draft]:
    """Free texts; one that has no end yet is a beginning, and just as likely.

    Args:
        bench: The stage and its model.
        count: How many.
        max_new_tokens: Longest text, in tokens.
        temperature: Logits are divided by it.
        rng: Seeds the draws.

    Raises:
        ModelError: if the tokenizer has no token to begin with.
    """
    tokenizer = bench.tokenizer
    ends = [t for t in (tokenizer.bos_token_id, tokenizer.eos_token_id) if t is not None]
    if not ends:
        raise ModelError(
            "self_replay: the tokenizer has no token that begins or ends a text",
            fix="self_replay: {start: chat}",
        )
    drafts = []
    for text in sample(bench, [ends[:1]] * count, max_new_tokens, ends, temperature, rng):
        words = _without_end(text, ends)
        example = Encoded([ends[0], *text], [False] + [True] * len(text))
        drafts.append(Draft(example, [words], Row("", (), _text(tokenizer, words))))
    return drafts


def chats(
    bench: Workbench,
    count: int,
    max_new_tokens: int,
    temperature: float,
    rng: np.random.Generator,
    learn_all: bool = False,
) -> list[Draft]:
    """Questions that came to their end, and answers.

    An answer that has no end yet is a beginning, and just as likely; to leave long ones out would
    teach the model to be brief.

    Args:
        bench: The stage and its model.
        count: How many questions; those without an end are not answered.
        max_new_tokens: Longest turn, in tokens.
        temperature: Logits are divided by it.
        rng: Seeds the draws.
        learn_all: Learn the question too.

    Raises:
        ModelError: if the chat template does not tell where a user's words end.
    """
    form = ChatForm.of(bench.tokenizer)
    room = (bench.encoder.longest - len(form.head) - len(form.between)) // 2
    questions = sample(
        bench,
        [form.head] * count,
        max(1, min(max_new_tokens, room)),
        form.special,
        temperature,
        rng,
    )
    asked = [question[:-1] for question in questions if question[-1:] == [form.end]]
    answers = sample(
        bench,
        [[*form.head, *question, *form.between] for question in asked],
        max_new_tokens,
        form.special | form.closing,
        temperature,
        rng,
    )
    drafts = []
    for question, answer in zip(asked, answers, strict=True):
        if answer and answer[-1] in form.special - form.closing:
            continue  # it began a turn in the midst of another
        words = _without_end(answer, form.closing)
        prompt = [*form.head, *question, *form.between]
        learned = [False] * len(prompt)
        if learn_all:
            end = len(form.head) + len(question) + form.between.index(form.end)
            learned[len(form.head) : end + 1] = [True] * (end + 1 - len(form.head))
        example = Encoded(prompt + answer, learned + [True] * len(answer))
        turn = Turn("user", _text(bench.tokenizer, question))
        row = Row("", (turn,), _text(bench.tokenizer, words))
        drafts.append(Draft(example, [question, words], row))
    return drafts


@dataclass(frozen=True)
class ChatForm:
    """Where the words of user and assistant stand in a chat.

    Attributes:
        head: Tokens before the user's words.
        between: Tokens after them, up to the answer.
        end: The token of ``between`` that ends the user's words.
        closing: Tokens that end an answer.
        special: Tokens that have no place in anybody's words.
    """

    head: list[int]
    between: list[int]
    end: int
    closing: frozenset[int]
    special: frozenset[int]

    @classmethod
    def of(cls, tokenizer: Any) -> ChatForm:
        """The form of a tokenizer's chat template.

        Raises:
            ModelError: if there is none, or nothing tells where a user's words end.
        """
        fix = "self_replay: {start: bos}"
        name = tokenizer.name_or_path or "the tokenizer"
        if not tokenizer.chat_template:
            raise ModelError(f"self_replay: {name} has no chat template", fix=fix)
        renderer = Renderer(tokenizer, "chat")
        text = renderer.prompt(Row("", (Turn("user", WORDS),), WORDS))
        head, _, between = (
            tokenizer(part, add_special_tokens=False)["input_ids"] if part else []
            for part in text.partition(WORDS)
        )
        special = frozenset(
            token for token, added in tokenizer.added_tokens_decoder.items() if added.special
        )
        end = next((token for token in between if token in special), None)
        if not head or end is None or _text(tokenizer, between[: between.index(end)]):
            raise ModelError(
                f"self_replay: the chat template of {name} has no token that ends a user's words",
                fix=fix,
            )
        return cls(head, between, end, frozenset(renderer.stop_ids()), special)


def _without_end(tokens: list[int], ends: Collection[int]) -> list[int]:
    return tokens[:-1] if tokens and tokens[-1] in ends else tokens


def _text(tokenizer: Any, tokens: Sequence[int]) -> str:
    return str(tokenizer.decode(tokens, skip_special_tokens=True)).strip()
