"""Answers as server-sent events, each piece sent when it is written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from forgetless.serving.callers import Caller
from forgetless.serving.faults import ApiError, reply, server_ends

Answer = Callable[[Callable[[str], None]], dict[str, Any]]
Piece = str | dict[str, Any] | ApiError

DONE = "data: [DONE]\n\n"


class _Stream(StreamingResponse):
    """Events for a caller, who is told nothing more when they end or cannot be sent.

    When the server ends before them, the last one says so.
    """

    def __init__(self, events: AsyncIterator[str], caller: Caller) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._caller = caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._caller:
            try:
                await super().__call__(scope, receive, send)
            except asyncio.CancelledError:
                last = _failed(server_ends()) + DONE
                await send({"type": "http.response.body", "body": last.encode()})


async def streamed(
    answer: Answer, caller: Caller, empty: Mapping[str, Any], turns: Executor
) -> Response:
    """Begin to answer, and send what comes.

    Args:
        answer: Gives pieces of text to what it is given, and returns the whole; in a thread.
        caller: Whoever asked.
        empty: An event as the API has it, but for its choices; with ``usage`` if that is to be told
            at the end.
        turns: Where answers wait for their turns.
    """
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[Piece] = asyncio.Queue()

    def give(piece: Piece) -> None:
        with suppress(RuntimeError):  # the server has ended meanwhile
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

    def work() -> None:
        try:
            give(answer(give))
        except ApiError as error:
            give(error)
        except Exception as error:
            give(ApiError(500, f"The server failed: {type(error).__name__}"))

    turns.submit(work)
    try:
        first = await pieces.get()
    except asyncio.CancelledError:
        first = server_ends()
    if isinstance(first, ApiError):  # nothing was sent yet, so the status can still say it
        with caller:
            return reply(first)
    return _Stream(_events(first, pieces, empty), caller)


async def _events(
    piece: Piece, pieces: asyncio.Queue[Piece], empty: Mapping[str, Any]
) -> AsyncIterator[str]:
    def event(delta: Mapping[str, Any], finish: str | None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return f"data: {json.dumps({**empty, 'choices': [choice]})}\n\n"

    yield event({"role": "assistant", "content": ""}, None)
    while isinstance(piece, str):
        yield event({"content": piece}, None)
        piece = await pieces.get()
    if isinstance(piece, ApiError):
        yield _failed(piece)
    else:
        yield event({}, piece["choices"][0]["finish_reason"])
        if "usage" in empty:
            yield f"data: {json.dumps({**empty, 'choices': [], 'usage': piece['usage']})}\n\n"
    yield DONE


def _failed(error: ApiError) -> str:
    """An error as an event."""
    return f"data: {bytes(reply(error).body).decode()}\n\n"
