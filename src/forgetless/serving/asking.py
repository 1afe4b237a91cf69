"""``/chat/completions`` and ``/completions``: models are asked."""

from __future__ import annotations

import json
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from forgetless.errors import ForgetlessError
from forgetless.models.forward import context_length
from forgetless.models.load import LoadedModel
from forgetless.serving.faults import ApiError, parsed, reply
from forgetless.serving.generating import Request, Token, Written, echoed, write
from forgetless.serving.loaded import Shelf
from forgetless.tasks.render import Renderer
from forgetless.tasks.row import Row, Turn

One = Literal[1] | None
None_ = Literal[0] | None


class _Form(BaseModel):
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
    n: One = None
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


class ChatForm(_Form):
    """Body of ``/chat/completions``."""

    messages: list[ChatMessage] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)


class TextForm(_Form):
    """Body of ``/completions``."""

    prompt: str = Field(min_length=1)
    max_tokens: int = Field(16, ge=0)
    logprobs: int | None = Field(None, ge=0, le=20)
    echo: bool = False


class AskingRoutes:
    """Handlers of ``/chat/completions`` and ``/completions``."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def routes(self) -> list[Route]:
        """Addresses and their handlers."""
        return [
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/completions", self._text, methods=["POST"]),
        ]

    async def _chat(self, request: HttpRequest) -> Response:
        form = await parsed(request, ChatForm)
        if form.stream:
            return await _streamed(lambda on_text: self._answer(form, on_text), form)
        answer = await run_in_threadpool(self._answer, form)
        return JSONResponse(answer)

    async def _text(self, request: HttpRequest) -> Response:
        form = await parsed(request, TextForm)
        if form.stream:
            raise ApiError(400, "stream: only chat is streamed here", param="stream")
        return JSONResponse(await run_in_threadpool(self._continue, form))

    def _answer(
        self, form: ChatForm, on_text: Callable[[str], None] | None = None
    ) -> dict[str, Any]:
        with self._shelf.opened(form.model) as loaded:
            if not loaded.tokenizer.chat_template:
                raise ApiError(400, f"{form.model} has no chat template: ask /completions")
            renderer = Renderer(loaded.tokenizer, "chat")
            row = Row("chat", tuple(message.turn for message in form.messages), "")
            try:
                prompt = renderer.prompt_ids(row)
            except ForgetlessError as error:
                raise ApiError(400, error.message, param="messages") from None
            most = form.max_completion_tokens or form.max_tokens
            written = write(
                loaded, _request(loaded, form, prompt, most, renderer.stop_ids()), on_text
            )
        logprobs = {"content": [_chat_token(token) for token in written.tokens], "refusal": None}
        message = {"role": "assistant", "content": written.text, "refusal": None}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": logprobs if form.logprobs else None,
            "finish_reason": written.finish,
        }
        return _whole("chat.completion", form, choice, len(prompt), written.count)

    def _continue(self, form: TextForm) -> dict[str, Any]:
        with self._shelf.opened(form.model) as loaded:
            prompt = _text_ids(loaded, form.prompt)
            eos = loaded.tokenizer.eos_token_id
            stop_ids = [] if eos is None else [eos]
            request = _request(loaded, form, prompt, form.max_tokens, stop_ids)
            written = write(loaded, request) if form.max_tokens else Written()
            before = []
            if form.echo:
                before = echoed(loaded, prompt, form.logprobs or 0)
        tokens = [*before, *written.tokens]
        choice = {
            "index": 0,
            "text": (form.prompt if form.echo else "") + written.text,
            "logprobs": None if form.logprobs is None else _columns(tokens, form, len(before)),
            "finish_reason": written.finish,
        }
        return _whole("text_completion", form, choice, len(prompt), written.count)


def _text_ids(loaded: LoadedModel, text: str) -> list[int]:
    """Tokens of a text as a model that learns plain texts has seen them."""
    return Renderer(loaded.tokenizer, "plain").continuation_ids(Row("text", (), text), text)


def _request(
    loaded: LoadedModel,
    form: ChatForm | TextForm,
    prompt: Sequence[int],
    most: int | None,
    stop_ids: Sequence[int],
) -> Request:
    """What to write.

    Raises:
        ApiError: if the context has no room for it.
    """
    context = context_length(loaded.model)
    room = context - len(prompt)
    if room < (1 if most is None else most):
        raise ApiError(
            400,
            f"This model's context is {context} tokens; the prompt has {len(prompt)}, and "
            f"{most or 1} are asked for",
            param="messages" if isinstance(form, ChatForm) else "prompt",
            code="context_length_exceeded",
        )
    tops = form.top_logprobs if isinstance(form, ChatForm) else form.logprobs or 0
    return Request(
        prompt=prompt,
        max_tokens=room if most is None else most,
        stop_ids=stop_ids,
        stops=form.stops,
        temperature=form.temperature,
        seed=secrets.randbits(62) if form.seed is None else form.seed % 2**62,
        tops=tops,
    )


def _whole(
    kind: str, form: _Form, choice: Mapping[str, Any], read: int, written: int
) -> dict[str, Any]:
    """A reply."""
    return {
        "id": f"{'chatcmpl' if kind.startswith('chat') else 'cmpl'}-{secrets.token_hex(12)}",
        "object": kind,
        "created": int(time.time()),
        "model": form.model,
        "choices": [choice],
        "usage": {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        },
    }


def _chat_token(token: Token) -> dict[str, Any]:
    def listed(text: str, logprob: float | None) -> dict[str, Any]:
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}

    return listed(token.text, token.logprob) | {
        "top_logprobs": [listed(text, value) for text, value in token.tops]
    }


def _columns(tokens: Sequence[Token], form: TextForm, echoed_tokens: int) -> dict[str, Any]:
    """Tokens as ``/completions`` lists them."""
    offsets, place = [], 0 if echoed_tokens else len(form.prompt)
    for token in tokens:
        offsets.append(place)
        place += len(token.text)
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [None if t.logprob is None else dict(t.tops) for t in tokens],
        "text_offset": offsets,
    }


async def _streamed(
    answer: Callable[[Callable[[str], None]], dict[str, Any]], form: ChatForm
) -> Response:
    """An answer as server-sent events, each piece sent when it is written."""
    pieces: queue.SimpleQueue[str | dict[str, Any] | ApiError] = queue.SimpleQueue()

    def work() -> None:
        try:
            pieces.put(answer(pieces.put))
        except ApiError as error:
            pieces.put(error)
        except Exception as error:
            pieces.put(ApiError(500, f"The server failed: {type(error).__name__}"))

    def events() -> Iterator[str]:
        head = _whole("chat.completion.chunk", form, {}, 0, 0)
        del head["usage"]

        def event(delta: Mapping[str, Any], finish: str | None) -> str:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            return f"data: {json.dumps(head | {'choices': [choice]})}\n\n"

        piece = first
        yield event({"role": "assistant", "content": ""}, None)
        while isinstance(piece, str):
            yield event({"content": piece}, None)
            piece = pieces.get()
        if isinstance(piece, ApiError):
            yield f"data: {bytes(reply(piece).body).decode()}\n\n"
        else:
            yield event({}, piece["choices"][0]["finish_reason"])
        yield "data: [DONE]\n\n"

    threading.Thread(target=work, daemon=True).start()
    first = await run_in_threadpool(pieces.get)
    if isinstance(first, ApiError):  # nothing was sent yet, so the status can still say it
        return reply(first)
    return StreamingResponse(iterate_in_threadpool(events()), media_type="text/event-stream")
