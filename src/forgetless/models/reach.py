"""What a model can read at all: so many tokens, out of so many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

ENDLESS = 1 << 30
"""Tokens that a model reaches which names no limit."""

RESIZE = (
    "use the model's own tokenizer, or give the model weights for what was added:  "
    "model.resize_token_embeddings(len(tokenizer))"
)


class Reach(NamedTuple):
    """Limits of what a model reads.

    Attributes:
        context: Most tokens of a sequence; practically endless where the model names no limit.
        vocabulary: Tokens that it has weights for, and logits per position; ids are below it.
    """

    context: int = ENDLESS
    vocabulary: int = ENDLESS

    @classmethod
    def of(cls, model: Any) -> Reach:
        """The limits of a transformers model.

        Tokens are counted by its layers, where those tell: the configuration of a model with
        tokens for pictures, or with padded weights, may name fewer.
        """
        config = model.config.get_text_config()
        context = getattr(config, "max_position_embeddings", 0) or ENDLESS
        read = getattr(model.get_input_embeddings(), "num_embeddings", None)
        written = getattr(model.get_output_embeddings(), "out_features", None)
        vocabulary = min(read, written) if read and written else config.vocab_size
        return cls(int(context), int(vocabulary))

    def obstacle(self, ids: Sequence[int], tokenizer: Any, more: int = 0) -> str | None:
        """Why the model cannot read these tokens and as many more; None if it can."""
        if len(ids) + more > self.context:
            return f"{len(ids) + more} tokens are more than the model's context of {self.context}"
        return self.unknown(ids, tokenizer)

    def unknown(self, ids: Sequence[int], tokenizer: Any) -> str | None:
        """Why the model cannot read one of these tokens; None if it can.

        A tokenizer may know more than the model: one of another model, or one that was added to
        without the embeddings being resized.  On a GPU such a token ends the whole process.
        """
        if not ids or (largest := max(ids)) < self.vocabulary:
            return None
        named = "a token"
        if tokenizer is not None:  # a trainer may have been given ready tokens alone
            named = f"the tokenizer's token {tokenizer.convert_ids_to_tokens(largest)!r}"
        return (
            f"{named} has number {largest}, and the model has weights for those below "
            f"{self.vocabulary}"
        )
