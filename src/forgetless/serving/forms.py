"""Bodies of ``/chat/completions`` and ``/completions``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from forgetless.serving.bodies import Form
from forgetless.serving.faults import ApiError
from forgetless.tasks.row import Turn

One = Literal[1]
Zero = Literal[0]


class AskingForm(Form):
    """What both have in common.

    Of settings that change an answer and are not known here, only those values are taken that
    change nothing.
    """

    model: str
    temperature: float = Field(1.0, ge=0, le=2)
    stop: str | list[str] = ""
    seed: int | None = None
    stream: bool = False
    user: str = ""
    n: int = Field(1, ge=1)
    top_p: One = 1
    frequency_penalty: Zero = 0
    presence_penalty: Zero = 0
    repeat_penalty: One = 1
    repetition_penalty: One = 1
    logit_bias: dict[str, float] = Field({}, max_length=0)

    @property
    def stops(self) -> list[str]:
        """Texts that end an answer."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop
        return [text for text in given if text]

    @property
    def lengths(self) -> dict[str, int]:
        """Most tokens of the answer, under each name by which the request says it."""
        names = ("max_completion_tokens", "max_tokens")
        return {name: wanted for name in names if (wanted := getattr(self, name, None)) is not None}

    def check(self, longest: int) -> None:
        """Hold what is asked for against what the server writes for one request.

        Raises:
            ApiError: naming the first parameter that wants more.
        """
        if self.n > 1:
            raise ApiError(
                400,
                f"n is too large: {self.n}. One answer is written for a request; send {self.n} "
                "requests",
                param="n",
                code="invalid_value",
            )
        for name, wanted in self.lengths.items():
            if wanted > longest:
                raise ApiError(
                    400,
                    f"{name} is too large: {wanted}. This server writes at most {longest} tokens "
                    "for a request",
                    param=name,
                    code="invalid_value",
                )


class TextPart(Form):
    """Part of a message."""

    type: Literal["text"]
    text: str


class ChatMessage(Form):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str = ""

    @property
    def turn(self) -> Turn:
        """As rows have it."""
        text = (
            self.content
            if isinstance(self.content, str)
            else "".join(part.text for part in self.content)
        )
        return Turn("system" if self.role == "developer" else self.role, text)


class TextFormat(Form):
    """The one form of an answer."""

    type: Literal["text"]


class StreamOptions(Form):
    """What a stream tells beside the text."""

    include_usage: bool = False


class ChatForm(AskingForm):
    """Body of ``/chat/completions``."""

    messages: list[ChatMessage] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)
    stream_options: StreamOptions = StreamOptions()
    response_format: TextFormat | None = None
    tools: list[Any] = Field([], max_length=0)
    store: Literal[False] = False

    def check(self, longest: int) -> None:
        """Hold what is asked for against what the server does, as for any form."""
        super().check(longest)
        if self.stream and self.logprobs:
            raise ApiError(
                400, "logprobs: a stream has none here; ask without stream", param="logprobs"
            )
        if self.top_logprobs and not self.logprobs:
            raise ApiError(
                400,
                f"top_logprobs is {self.top_logprobs}, but logprobs is not set: set it to true",
                param="top_logprobs",
            )


class TextForm(AskingForm):
    """Body of ``/completions``."""

    prompt: str = Field(min_length=1)
    max_tokens: int = Field(16, ge=0)
    logprobs: int | None = Field(None, ge=0, le=20)
    echo: bool = False
    best_of: One = 1
