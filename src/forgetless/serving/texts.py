"""Tokens as text, one after another, and the likeliest tokens as texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

CUT = "\N{REPLACEMENT CHARACTER}"  # how a decoder shows part of a character
CONTEXT = 8  # tokens of a text on which what follows them can depend


class Reading:
    """A text that grows by tokens.

    What a token adds depends on those before it: it may end a character, or begin with a space that
    a decoder leaves out at the beginning of a text.  The last tokens that added whole characters
    are enough to know, so that a long text is not decoded again for each token.

    Args:
        tokenizer: Of the model.
        before: Tokens of the text that it goes on with; none if it stands for itself.
    """

    def __init__(self, tokenizer: Any, before: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._known = [*before[-CONTEXT:]]  # tokens before those in question
        self._new: list[int] = []  # tokens whose last character may not be whole yet
        self._said = ""  # what the new ones have added

    def add(self, token: int) -> str:
        """What a token adds; part of a character is left out until it is whole."""
        self._new.append(token)
        text = self._text_of_new()
        said, self._said = self._said, text.rstrip(CUT)
        added = self._said[len(said) :]
        if self._said and self._said == text:
            self._known, self._new, self._said = self._new, [], ""
        return added

    def rest(self) -> str:
        """What there is of a character that never became whole."""
        return self._text_of_new()[len(self._said) :]

    def likeliest(self, logprobs: torch.Tensor, count: int) -> tuple[tuple[str, float], ...]:
        """The likeliest next tokens.

        Args:
            logprobs: Of all tokens, shape (vocabulary,).
            count: How many.

        Returns:
            What each would add, likeliest first; part of a character is shown as such, and a
            special token by its name.
        """
        if not count:
            return ()
        held = [*self._known, *self._new]
        said = len(self._decoded(held, special=True).rstrip(CUT))
        values, ids = logprobs.topk(count)
        return tuple(
            (self._decoded([*held, token], special=True)[said:], value)
            for token, value in zip(ids.tolist(), values.tolist(), strict=True)
        )

    def _text_of_new(self) -> str:
        return self._decoded([*self._known, *self._new])[len(self._decoded(self._known)) :]

    def _decoded(self, ids: Sequence[int], *, special: bool = False) -> str:
        text: str = self._tokenizer.decode(
            ids, skip_special_tokens=not special, clean_up_tokenization_spaces=False
        )
        return text
