"""How much a server takes at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from forgetless.serving import bounds
from forgetless.serving.faults import ApiError, on_api_error


async def _length(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("path", "most"), [("/v1/files", 50), ("/v1/other", 20)])
def test_what_is_too_large_is_refused_whether_or_not_it_says_so(
    path: str, most: int, monkeypatch: pytest.MonkeyPatch, *, chunked: bool
) -> None:
    monkeypatch.setattr(bounds, "LARGEST_FILE", 50)
    monkeypatch.setattr(bounds, "LARGEST_BODY", 20)
    app = Starlette(
        routes=[Route(path, _length, methods=["POST"])],
        middleware=[Middleware(bounds.Bounds)],
        exception_handlers={ApiError: on_api_error},
    )

    def sent(size: int) -> bytes | Iterator[bytes]:
        return (b"x" for _ in range(size)) if chunked else b"x" * size

    client = TestClient(app)
    taken = client.post(path, content=sent(most))
    assert (taken.status_code, taken.text) == (200, str(most))
    refused = client.post(path, content=sent(most + 1))
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_large")
