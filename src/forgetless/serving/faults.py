"""Faults in the form of the OpenAI API: ``{"error": {message, type, param, code}}``."""

from __future__ import annotations

import logging

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

log = logging.getLogger(__name__)


class ApiError(Exception):
    """A request that is refused.

    Args:
        status: HTTP status.
        message: What is wrong and what was needed.
        param: The parameter at fault.
        code: A word for programs.
    """

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code


def no_such(what: str, name: str) -> ApiError:
    """Something that is not there."""
    return ApiError(404, f"No such {what}: {name}", param="id", code=f"{what}_not_found")


def server_ends() -> ApiError:
    """What whoever still waits is told when the server ends."""
    return ApiError(503, "The server ends")


def reply(error: ApiError) -> JSONResponse:
    """An error as it goes out."""
    kind = "server_error" if error.status >= 500 else "invalid_request_error"
    body = {
        "message": error.message,
        "type": kind,
        "param": error.param,
        "code": error.code,
    }
    return JSONResponse({"error": body}, error.status)


async def on_api_error(_: Request, error: Exception) -> JSONResponse:
    """Handler of our own errors."""
    assert isinstance(error, ApiError)
    return reply(error)


async def on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Handler of addresses and methods that there are not."""
    assert isinstance(error, HTTPException)
    return reply(
        ApiError(error.status_code, f"{request.method} {request.url.path}: {error.detail}")
    )


async def on_fault(request: Request, error: Exception) -> JSONResponse:
    """Handler of what should not happen: told in the log, not to the client."""
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    return reply(ApiError(500, f"The server failed: {type(error).__name__}"))
