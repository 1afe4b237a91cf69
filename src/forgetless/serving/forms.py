"""Bodies of ``/chat/completions`` and ``/completions``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from forgetless.serving.faults import ApiError
from forgetless.tasks.row import Turn

One = Literal[1] | None
None_ = Literal[0] | None


class AskingForm(BaseModel):
    """What both have in common.

    Of settings that change an answer and are not known here, only those values are taken that
    change nothing.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: str
    temperature: float = Field(1.0, ge=0, le=2)
    stop: str | list[str] | None = None
    seed: int | None = None
    stream: bool = False
    user: str | None = None
    n: int | None = Field(None, ge=1)
    top_p: One = None
    frequency_penalty: None_ = None
    presence_penalty: None_ = None
    repeat_penalty: One = None
    repetition_penalty: One = None

    @property
    def stops(self) -> list[str]:
        """Texts that end an answer."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
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
        if (self.n or 1) > 1:
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


class TextPart(BaseModel):
    """Part of a message."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = None

    @property
    def turn(self) -> Turn:
        """As rows have it."""
        text = (
            self.content
            if isinstance(self.content, str)
            else "".join(part.text for part in self.content)
        )
        return Turn("system" if self.role == "developer" else self.role, text)


class ChatForm(AskingForm):
    """Body of ``/chat/completions``."""

    messages: list[ChatMessage] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)


class TextForm(AskingForm):
    """Body of ``/completions``."""

    prompt: str = Field(min_length=1)
    max_tokens: int = Field(16, ge=0)
    logprobs: int | None = Field(None, ge=0, le=20)
    echo: bool = False
