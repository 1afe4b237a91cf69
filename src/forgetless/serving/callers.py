"""Whether whoever asked still waits: nobody is answered who has hung up."""

from __future__ import annotations

import asyncio
import threading
from typing import Self

from starlette.requests import Request


class Caller:
    """Whoever sent a request, watched from when its body was read until it is answered.

    Args:
        request: The request; nothing else may read on from it.
    """

    def __init__(self, request: Request) -> None:
        self._left = threading.Event()
        self._watching = asyncio.create_task(self._watch(request))

    def has_left(self) -> bool:
        """Whether nobody waits for the answer any more; for any thread."""
        return self._left.is_set()

    def __enter__(self) -> Self:
        """Answer within the block."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Watch no longer; whatever still works on an answer may stop."""
        self._watching.cancel()
        self._left.set()

    async def _watch(self, request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self._left.set()
