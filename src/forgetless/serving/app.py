"""The application: who may ask, which addresses there are, and what works behind them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from forgetless.serving.asking import AskingRoutes
from forgetless.serving.bounds import Bounds
from forgetless.serving.config import ServerConfig
from forgetless.serving.faults import ApiError, on_api_error, on_fault, on_http_error, reply
from forgetless.serving.files import FileRoutes, stored_files
from forgetless.serving.job_routes import JobRoutes
from forgetless.serving.jobs import Jobs
from forgetless.serving.loaded import Shelf
from forgetless.serving.models import ModelRoutes
from forgetless.serving.worker import Worker


class Gate:
    """Lets nobody in without the token; without one, no page of a browser.

    Args:
        app: What is behind it.
        token: What every request must bring; empty: none.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or (refusal := self._refusal(Request(scope))) is None:
            await self._app(scope, receive, send)
            return
        await reply(refusal)(scope, receive, send)

    def _refusal(self, request: Request) -> ApiError | None:
        if request.scope["path"] == "/health":
            return None
        if self._token:
            sent = request.headers.get("authorization", "")
            if not secrets.compare_digest(sent.encode(), f"Bearer {self._token}".encode()):
                return ApiError(401, "Incorrect or missing API key", code="invalid_api_key")
        elif "origin" in request.headers:
            return ApiError(403, "Requests from web pages need a token, and the server has none")
        return None


def application(config: ServerConfig) -> Starlette:
    """Everything that a server does; jobs are worked off while it runs."""
    files = stored_files(config.folder / "files")
    jobs = Jobs.kept_in(config.folder / "jobs")
    shelf = Shelf(config, jobs)
    worker = Worker(config, files, jobs)

    @asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        worker.start()
        yield
        worker.end()

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    middleware = [Middleware(Gate, token=config.token), Middleware(Bounds)]
    if not config.token:  # a name that leads here from elsewhere is none of ours
        ours = ["localhost", "127.0.0.1", "::1", "[::1]", config.host]
        middleware.insert(0, Middleware(TrustedHostMiddleware, allowed_hosts=ours))
    return Starlette(
        routes=[
            *FileRoutes(files, jobs).routes(),
            *JobRoutes(config, files, jobs).routes(),
            *ModelRoutes(config, jobs, shelf).routes(),
            *AskingRoutes(shelf, config.max_tokens).routes(),
            Route("/health", health),
        ],
        middleware=middleware,
        exception_handlers={
            ApiError: on_api_error,
            HTTPException: on_http_error,
            Exception: on_fault,
        },
        lifespan=running,
    )
