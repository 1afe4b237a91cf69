"""Text that a loaded model writes, token by token, and what each token was worth.

Log-probabilities are those of the model itself, ``log_softmax`` of its logits, whatever the
temperature that tokens are drawn at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from forgetless.models.generation import continuations
from forgetless.models.load import LoadedModel
from forgetless.serving.faults import ApiError
from forgetless.serving.texts import Reading

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Token:
    """A token of a text.

    Attributes:
        text: What it adds to the text; of the tokens of one character the last one adds it.
        logprob: Its log-probability in nats; None for the first of a text, which nothing predicts.
        tops: The likeliest tokens at its place with theirs, likeliest first.
    """

    text: str
    logprob: float | None
    tops: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Request:
    """What is to be written.

    Attributes:
        prompt: Token ids before it, at least one.
        max_tokens: Most tokens.
        stop_ids: Tokens that end it.
        stops: Texts that end it, and are not part of it.
        temperature: 0: the likeliest tokens.
        seed: Seed of what is drawn.
        tops: How many likeliest tokens to give at each place.
        goes_on: Whether its text is one with the prompt's, so that it may begin with a space.
    """

    prompt: Sequence[int]
    max_tokens: int
    stop_ids: Sequence[int]
    stops: Sequence[str] = ()
    temperature: float = 0.0
    seed: int = 0
    tops: int = 0
    goes_on: bool = False


@dataclass
class Written:
    """What was written.

    Attributes:
        text: All of it.
        tokens: Its tokens; the one that ended it is not among them.
        count: How many were written, that one included.
        finish: ``stop`` or ``length``.
    """

    text: str = ""
    tokens: list[Token] = field(default_factory=list)
    count: int = 0
    finish: str = "length"


def nobody_left() -> bool:
    """Whoever asked still waits."""
    return False


def write(
    loaded: LoadedModel,
    request: Request,
    on_text: Callable[[str], None] | None = None,
    left: Callable[[], bool] = nobody_left,
) -> Written:
    """Let a model write.

    Args:
        loaded: The model.
        request: What is wanted.
        on_text: Is given the text in pieces, as it comes; none of what might be part of a stop.
        left: Is asked after each token whether whoever wanted it has left, which ends it.

    Raises:
        ApiError: if a logit is not a number.
    """
    from transformers import StoppingCriteriaList

    watch = _Watch(loaded.tokenizer, request, on_text, left)
    continuations(
        loaded.model,
        [request.prompt],
        request.max_tokens,
        request.stop_ids,
        temperature=request.temperature,
        seed=request.seed,
        on_logits=watch.see,
        stopping=StoppingCriteriaList([watch]),
    )
    return watch.done()


class _Watch:
    """Sees the logits of each token, then the token; says when to stop."""

    def __init__(
        self,
        tokenizer: Any,
        request: Request,
        on_text: Callable[[str], None] | None,
        left: Callable[[], bool],
    ) -> None:
        self._reading = Reading(tokenizer, request.prompt if request.goes_on else ())
        self._request = request
        self._on_text = on_text
        self._left = left
        self._row: torch.Tensor | None = None
        self._written = Written()
        self._was_cut = False
        self._sent = 0
        self._held_back = max(map(len, request.stops), default=1) - 1

    def see(self, indices: Sequence[int], logits: torch.Tensor) -> None:
        """Logits of the next token of the one prompt, shape (1, vocabulary)."""
        import torch

        assert len(indices) == 1

        self._row = torch.log_softmax(logits[0].float(), dim=-1)

    def __call__(self, ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Whether to stop after the tokens so far, shape (1, tokens)."""
        import torch

        assert self._row is not None
        token = int(ids[0, -1])
        worth = float(self._row[token])
        if math.isnan(worth):
            raise ApiError(500, "The model gives what is not a number")
        written = self._written
        written.count += 1
        if token in self._request.stop_ids:
            written.finish = "stop"
            return torch.tensor([True], device=ids.device)
        tops = self._reading.likeliest(self._row, self._request.tops)
        added = self._reading.add(token)
        written.text += added
        written.tokens.append(Token(added, worth, tops))
        found = [place for stop in self._request.stops if (place := written.text.find(stop)) >= 0]
        if found:
            self._cut(min(found))
        self._send(self._held_back)
        return torch.tensor([bool(found) or self._left()], device=ids.device)

    def done(self) -> Written:
        """All that was written; part of a character at the end is shown as such."""
        written = self._written
        if written.tokens and not self._was_cut:
            rest, last = self._reading.rest(), written.tokens[-1]
            written.tokens[-1] = replace(last, text=last.text + rest)
            written.text += rest
        self._send(0)
        return written

    def _cut(self, length: int) -> None:
        """End the text here, and the tokens with the one that reaches it."""
        written = self._written
        self._was_cut = True
        written.text, written.finish = written.text[:length], "stop"
        start, kept = 0, []
        for token in written.tokens:
            if start < length:
                kept.append(token)
            start += len(token.text)
        written.tokens = kept

    def _send(self, held_back: int) -> None:
        end = len(self._written.text) - held_back
        if self._on_text is not None and end > self._sent:
            self._on_text(self._written.text[self._sent : end])
            self._sent = end
