"""``/chat/completions`` and ``/completions``: models are asked."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from forgetless.errors import ForgetlessError
from forgetless.models.load import LoadedModel
from forgetless.models.reach import Reach
from forgetless.serving.bodies import parsed
from forgetless.serving.callers import Caller
from forgetless.serving.echoing import echoed
from forgetless.serving.faults import ApiError, server_ends
from forgetless.serving.forms import AskingForm, ChatForm, TextForm
from forgetless.serving.generating import Request, Token, Written, write
from forgetless.serving.loaded import Shelf
from forgetless.serving.streaming import streamed
from forgetless.tasks.render import Renderer
from forgetless.tasks.row import Row


class AskingRoutes:
    """Handlers of ``/chat/completions`` and ``/completions``.

    Args:
        shelf: Has the models.
        longest: Most tokens that are written for a request.
    """

    def __init__(self, shelf: Shelf, longest: int) -> None:
        self._shelf = shelf
        self._longest = longest
        # One answer at a time: whoever waits for a turn keeps no thread from other requests.
        self._turns = ThreadPoolExecutor(1, "forgetless-answers")

    def routes(self) -> list[Route]:
        """Addresses and their handlers."""
        return [
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/completions", self._text, methods=["POST"]),
        ]

    async def _chat(self, request: HttpRequest) -> Response:
        form = await parsed(request, ChatForm)
        form.check(self._longest)
        caller = Caller(request)
        if form.stream:
            empty = _whole("chat.completion.chunk", form, {}, 0, 0) | {"usage": None}
            if not form.stream_options.include_usage:
                del empty["usage"]
            return await streamed(
                lambda on_text: self._answer(form, caller, on_text), caller, empty, self._turns
            )
        return await self._whole_answer(caller, lambda: self._answer(form, caller))

    async def _text(self, request: HttpRequest) -> Response:
        form = await parsed(request, TextForm)
        form.check(self._longest)
        if form.stream:
            raise ApiError(400, "stream: only chat is streamed here", param="stream")
        caller = Caller(request)
        return await self._whole_answer(caller, lambda: self._continue(form, caller))

    async def _whole_answer(
        self, caller: Caller, answer: Callable[[], dict[str, Any]]
    ) -> JSONResponse:
        """Answer when it is the caller's turn."""
        with caller:
            try:
                turn = asyncio.get_running_loop().run_in_executor(self._turns, answer)
                return JSONResponse(await turn)
            except asyncio.CancelledError:
                raise server_ends() from None

    def _answer(
        self, form: ChatForm, caller: Caller, on_text: Callable[[str], None] | None = None
    ) -> dict[str, Any]:
        with self._shelf.opened(form.model, caller) as loaded:
            if not loaded.tokenizer.chat_template:
                raise ApiError(400, f"{form.model} has no chat template: ask /completions")
            renderer = Renderer(loaded.tokenizer, "chat")
            row = Row("chat", tuple(message.turn for message in form.messages), "")
            try:
                prompt = renderer.prompt_ids(row)
            except ForgetlessError as error:
                raise ApiError(400, error.message, param="messages") from None
            request = _request(loaded, form, prompt, self._longest, renderer.stop_ids())
            written = write(loaded, request, on_text, caller.has_left)
        logprobs = {"content": [_chat_token(token) for token in written.tokens], "refusal": None}
        message = {"role": "assistant", "content": written.text, "refusal": None}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": logprobs if form.logprobs else None,
            "finish_reason": written.finish,
        }
        return _whole("chat.completion", form, choice, len(prompt), written.count)

    def _continue(self, form: TextForm, caller: Caller) -> dict[str, Any]:
        with self._shelf.opened(form.model, caller) as loaded:
            prompt = _text_ids(loaded, form.prompt)
            eos = loaded.tokenizer.eos_token_id
            stop_ids = [] if eos is None else [eos]
            request = _request(loaded, form, prompt, self._longest, stop_ids)
            before = []
            if form.echo and form.logprobs is not None:
                before = echoed(loaded, prompt, form.logprobs, caller.has_left)
            written = Written()
            if form.max_tokens:
                written = write(loaded, request, left=caller.has_left)
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
    longest: int,
    stop_ids: Sequence[int],
) -> Request:
    """What to write.

    Raises:
        ApiError: if the context has no room for it, or the model no weights for one of its tokens.
    """
    reach = Reach.of(loaded.model)
    param = "messages" if isinstance(form, ChatForm) else "prompt"
    if unknown := reach.unknown(prompt, loaded.tokenizer):
        raise ApiError(400, unknown, param=param)
    room = reach.context - len(prompt)
    wanted = next(iter(form.lengths.values()), None)
    if room < (1 if wanted is None else wanted):
        raise ApiError(
            400,
            f"This model's context is {reach.context} tokens; the prompt has {len(prompt)}, and "
            f"{wanted or 1} are asked for",
            param=param,
            code="context_length_exceeded",
        )
    tops = form.top_logprobs if isinstance(form, ChatForm) else form.logprobs or 0
    return Request(
        prompt=prompt,
        max_tokens=min(room, longest) if wanted is None else wanted,
        stop_ids=stop_ids,
        stops=form.stops,
        temperature=form.temperature,
        seed=secrets.randbits(62) if form.seed is None else form.seed % 2**62,
        tops=tops,
        goes_on=isinstance(form, TextForm),
    )


def _whole(
    kind: str, form: AskingForm, choice: Mapping[str, Any], read: int, written: int
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


def _by_text(tops: Sequence[tuple[str, float]]) -> dict[str, float]:
    """The likeliest tokens by what they add; of several parts of characters the likeliest.

    Their sum would make a token that was greedily written look less likely than another.
    """
    found: dict[str, float] = {}
    for text, logprob in tops:  # likeliest first
        found.setdefault(text, logprob)
    return found


def _columns(tokens: Sequence[Token], form: TextForm, echoed_tokens: int) -> dict[str, Any]:
    """Tokens as ``/completions`` lists them."""
    offsets, place = [], 0 if echoed_tokens else len(form.prompt)
    for token in tokens:
        offsets.append(place)
        place += len(token.text)
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [None if t.logprob is None else _by_text(t.tops) for t in tokens],
        "text_offset": offsets,
    }
