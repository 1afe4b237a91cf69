"""How much may be sent: whatever is larger is refused, also if it does not say how large it is."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forgetless.serving.faults import ApiError, reply

LARGEST_FILE = 512_000_000  # bytes, and what surrounds the file
LARGEST_BODY = 16_000_000  # bytes of any other request, which is held in memory


class Bounds:
    """Lets requests through as long as they are small enough.

    Args:
        app: What is behind it; knows how to answer an :class:`ApiError`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count what comes of its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = LARGEST_FILE if scope["path"] == "/v1/files" else LARGEST_BODY
        refusal = ApiError(413, f"at most {most / 1e6:g} MB are taken here", code="too_large")
        if int(Headers(scope=scope).get("content-length") or 0) > most:
            await reply(refusal)(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise refusal
            return message

        await self._app(scope, counted, send)
