"""Rows to tokens: one place renders for training and for testing alike.

What the model sees before an answer is made by :meth:`Renderer.prompt` in both cases, and the
tokens of the prompt never depend on what follows, so a test item is asked in exactly the tokens in
which it was taught.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from forgetless.errors import DataError, ModelError
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.template import check_template

Style = Literal["chat", "plain"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A rendered row.

    Attributes:
        ids: Token ids, shape (length,).
        learned: Whether each token is a target of the loss, shape (length,).
    """

    ids: list[int]
    learned: list[bool]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def key(self) -> int:
        """A 64-bit hash of the tokens: the same example, wherever it turns up again."""
        tokens = array("i", self.ids).tobytes() + bytes(self.learned)
        digest = hashlib.blake2b(tokens, digest_size=8).digest()
        return int.from_bytes(digest, "little", signed=True)


@dataclass(frozen=True)
class Renderer:
    """Renders the rows of one task for one tokenizer.

    Attributes:
        tokenizer: A transformers tokenizer.
        style: ``chat`` uses the tokenizer's chat template; ``plain`` joins prompt and answer.
        system: A system turn for conversations that bring none.
        shots: Worked examples put before a test item (never before a training row).
    """

    tokenizer: Any
    style: Style
    system: str | None = None
    shots: tuple[Row, ...] = ()

    def __post_init__(self) -> None:
        if self.style == "chat" and not self.tokenizer.chat_template:
            raise ModelError(
                f"{self.tokenizer.name_or_path or 'the tokenizer'}: has no chat template, "
                "but rows are to be rendered as chat",
                fix="use an instruction-tuned model, or set  render: plain  for the task",
            )
        if self.style == "chat":
            check_template(self.tokenizer)

    def prompt(self, row: Row) -> str:
        """The text before the answer of a test item, worked examples included."""
        if self.style == "chat":
            turns = with_examples(row, self.shots)
            before = self._chat(turns, ask=True)
            if not self._frame[0]:
                return before
            return self._opened(before, self._chat([*turns, Turn("assistant", row.answer)]))
        examples_text = [_plain(shot) + continuation(shot, shot.answer) for shot in self.shots]
        return "\n\n".join([*examples_text, _plain(row)])

    def prompt_ids(self, row: Row) -> list[int]:
        """Token ids of :meth:`prompt`; without worked examples, exactly those of training."""
        if self.style == "plain":
            return self._tokens(self.prompt(row), start=True)
        if self.shots or not _answers(row.prompt):
            return self._tokens(self.prompt(row))
        *history, last = self._conversation([*row.prompt, Turn("assistant", row.answer)])[-1]
        return self._join([*history, (last[0], "")]).ids

    def continuation_ids(self, row: Row, answer: str) -> list[int]:
        """Token ids of an answer as it follows the prompt, without any end-of-turn.

        In chat form the answer is as the template writes it: some trim it, some put a space first.

        Raises:
            DataError: if the template refuses the conversation.
        """
        if not row.prompt:
            return self._tokens(answer, start=True)
        if self.style == "plain":
            return self._pair(_plain(row), continuation(row, answer), start=True)[1]
        given, reply = self._last_reply([*row.prompt, Turn("assistant", answer)])
        return self._pair(given, reply.removesuffix(self._frame[1]))[1]

    def stop_ids(self) -> list[int]:
        """Tokens that end an answer: end of text, and whatever the template ends a turn with."""
        stops = {self.tokenizer.eos_token_id}
        if self.style == "chat":
            closing = self._frame[1]
            # white space before the end-of-turn token, as Llama-2's, stands in answers too
            stops.update(self._tokens(closing.lstrip() or closing)[:1])
        return sorted(stop for stop in stops if stop is not None)

    def encode(self, row: Row) -> list[Encoded]:
        """Render a training row: every assistant turn, or the whole text, is learned.

        Usually one example.  Where a template renders earlier turns differently once later ones
        follow (some drop reasoning from the history), each assistant turn becomes an example of its
        own, so that it is learned in the very form in which it will be asked for.

        Raises:
            DataError: if the template refuses the conversation.
        """
        if not row.prompt:
            ids = self._tokens(row.answer, start=True) + self._end()
            return [Encoded(ids, [True] * len(ids))]
        turns = [*row.prompt, Turn("assistant", row.answer)]
        if self.style == "plain":
            return [self._exchange(turns[:number], turns[number]) for number in _answers(turns)]
        return [self._join(pairs) for pairs in self._conversation(turns)]

    def _exchange(self, prompt: Sequence[Turn], reply: Turn) -> Encoded:
        """A plain prompt and the answer that follows it."""
        row = Row("", tuple(prompt), reply.content)
        ids, answer = self._pair(_plain(row), continuation(row, row.answer), start=True)
        answer += self._end()
        return Encoded(ids + answer, [False] * len(ids) + [True] * len(answer))

    def _conversation(self, turns: Sequence[Turn]) -> list[list[tuple[str, str]]]:
        """A conversation as examples, each a list of (what is given, the reply to it)."""
        answers = _answers(turns)
        pairs: list[tuple[str, str]] = []
        done = ""
        for number in answers:
            before = self._chat(turns[:number], ask=True)
            after = self._chat(turns[: number + 1])
            before = self._opened(before, after)
            if not (before.startswith(done) and after.startswith(before)):
                return [[self._last_reply(turns[: last + 1])] for last in answers]
            pairs.append((before[len(done) :], after[len(before) :]))
            done = after
        return [pairs]

    def _last_reply(self, turns: Sequence[Turn]) -> tuple[str, str]:
        """All but the last assistant turn, and that turn."""
        after = self._chat(turns)
        before = self._opened(self._chat(turns[:-1], ask=True), after)
        if after.startswith(before):
            return before, after[len(before) :]
        return before, turns[-1].content + self._frame[1]

    def _opened(self, before: str, after: str) -> str:
        """A prompt, with what the template puts between it and the answer.

        Some templates put an empty reasoning block before an answer that brings no reasoning; it
        is given and not learned, so that the answer follows it in training and in testing.  A space
        belongs to the answer, because tokenizers make one token of it and the word behind it.
        """
        opening = self._frame[0].rstrip(" ")
        return before + opening if after.startswith(before + opening) else before

    @cached_property
    def _frame(self) -> tuple[str, str]:
        """What the template writes before and after an answer."""
        asked, reply = [Turn("user", "question")], "forgetless"
        before = self._chat(asked, ask=True)
        head, _, closing = self._chat([*asked, Turn("assistant", reply)]).rpartition(reply)
        return head[len(before) :] if head.startswith(before) else "", closing if head else ""

    def _chat(self, turns: Sequence[Turn], *, ask: bool = False) -> str:
        messages = as_messages(turns, self.system)
        try:
            text = self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=ask
            )
        except Exception as error:
            roles = ", ".join(message["role"] for message in messages)
            raise DataError(
                f"the model's chat template refuses a conversation of {roles}: "
                f"{error or type(error).__name__}",
                fix="set  render: plain  for the task, or rewrite the rows",
            ) from error
        return str(text)

    def _tokens(self, text: str, *, start: bool = False) -> list[int]:
        """Token ids; ``start`` adds what the tokenizer puts at the start of a text."""
        if not text:
            return []
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=start)
        if (
            start
            and ids
            and ids[-1] == self.tokenizer.eos_token_id
            and not text.endswith(str(self.tokenizer.eos_token))
        ):
            ids = ids[:-1]  # some tokenizers also close the text; a prompt stays open
        return ids

    def _pair(self, given: str, text: str, *, start: bool = False) -> tuple[list[int], list[int]]:
        """Token ids of what is given, by itself, and of the text as it follows.

        The two are tokenised together where that leaves the tokens of the first as they are, as
        lm-evaluation-harness does; otherwise the text is tokenised by itself.
        """
        alone, whole = self._tokens(given, start=start), self._tokens(given + text, start=start)
        if len(whole) > len(alone) and whole[: len(alone)] == alone:
            return alone, whole[len(alone) :]
        return alone, self._tokens(text)

    def _space(self, text: str) -> list[int]:
        """Token ids of the white space behind a turn, which is the same in row after row."""
        if text not in self._spaces:
            self._spaces[text] = self._tokens(text)
        return self._spaces[text]

    @cached_property
    def _spaces(self) -> dict[str, list[int]]:
        return {}

    def _end(self) -> list[int]:
        end = self.tokenizer.eos_token_id
        return [] if end is None else [end]

    def _join(self, pairs: Sequence[tuple[str, str]]) -> Encoded:
        """Tokens of an example; replies are learned, with the token that ends the turn."""
        ids: list[int] = []
        learned: list[bool] = []
        closing = self._frame[1]
        for given, reply in pairs:
            # white space after the end-of-turn token belongs to the template, not to the answer
            kept = reply.rstrip() if closing.strip() else reply
            end = self._end() if reply and not closing else []
            asked, answer = self._pair(given, kept)
            for tokens, target in (
                (asked, False),
                (answer + end, True),
                (self._space(reply[len(kept) :]), False),
            ):
                ids += tokens
                learned += [target] * len(tokens)
        return Encoded(ids, learned)


def with_examples(row: Row, shots: Sequence[Row]) -> list[Turn]:
    """The turns before the answer of a test item, worked examples first."""
    examples = [turn for shot in shots for turn in (*shot.prompt, Turn("assistant", shot.answer))]
    return [*examples, *row.prompt]


def as_messages(turns: Sequence[Turn], system: str | None) -> list[dict[str, str]]:
    """A conversation as chat messages, under a system turn if it brings none of its own."""
    messages = [{"role": turn.role, "content": turn.content} for turn in turns]
    if system is not None and (not messages or messages[0]["role"] != "system"):
        messages.insert(0, {"role": "system", "content": system})
    return messages


def _answers(turns: Sequence[Turn]) -> list[int]:
    """Positions of the assistant turns that answer a user."""
    first = next((number for number, turn in enumerate(turns) if turn.role == "user"), len(turns))
    return [n for n, turn in enumerate(turns) if turn.role == "assistant" and n > first]


def _plain(row: Row) -> str:
    """A conversation as plain text; a question is put in the usual Question/Answer form."""
    text = "\n\n".join(turn.content for turn in row.prompt)
    return f"Question: {text}\nAnswer:" if text.rstrip().endswith("?") else text


def continuation(row: Row, answer: str) -> str:
    """An answer as it follows a plain prompt: after one space, unless either brings white space."""
    return answer if _plain(row)[-1:].isspace() or answer[:1].isspace() else " " + answer
