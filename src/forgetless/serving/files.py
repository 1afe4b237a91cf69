"""``/files``: training files, kept as they came."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from forgetless.serving.faults import ApiError
from forgetless.serving.jobs import Jobs
from forgetless.serving.records import Records, page


@dataclass(frozen=True)
class StoredFile:
    """A file as the API shows it."""

    id: str
    bytes: int
    created_at: int
    filename: str
    purpose: str
    object: str = "file"
    status: str = "processed"


def stored_files(folder: Path) -> Records[StoredFile]:
    """The files of a server."""
    return Records(folder, "file", "file-", lambda values: StoredFile(**values), asdict)


def content(files: Records[StoredFile], name: str) -> Path:
    """Where the content of a file is."""
    return files.path(name) / "content.jsonl"


class FileRoutes:
    """Handlers of ``/files``."""

    def __init__(self, files: Records[StoredFile], jobs: Jobs) -> None:
        self._files = files
        self._jobs = jobs

    def routes(self) -> list[Route]:
        """Addresses and their handlers."""
        one = "/v1/files/{id}"
        return [
            Route("/v1/files", self._upload, methods=["POST"]),
            Route("/v1/files", self._list, methods=["GET"]),
            Route(one, self._show, methods=["GET"]),
            Route(one, self._delete, methods=["DELETE"]),
            Route(f"{one}/content", self._content, methods=["GET"]),
        ]

    async def _upload(self, request: Request) -> Response:
        async with request.form(max_files=1) as form:
            sent, purpose = form.get("file"), form.get("purpose")
            if not isinstance(sent, UploadFile):
                raise ApiError(400, "file: needed a file", param="file")
            if purpose != "fine-tune":
                raise ApiError(400, f"purpose is {purpose!r}, needed fine-tune", param="purpose")
            stored = await run_in_threadpool(self._store, sent)
        return JSONResponse(asdict(stored))

    def _store(self, sent: UploadFile) -> StoredFile:
        name = self._files.new_id()
        place = content(self._files, name)
        try:
            with place.open("wb") as file:
                shutil.copyfileobj(sent.file, file)
            size = place.stat().st_size
            stored = StoredFile(name, size, int(time.time()), sent.filename or name, "fine-tune")
            self._files.put(name, stored)
        except BaseException:  # such as a full disk, which what came of it would keep full
            self._files.delete(name)
            raise
        return stored

    async def _list(self, request: Request) -> Response:
        purpose = request.query_params.get("purpose")
        shown = [asdict(f) for f in self._files.all() if purpose in (None, f.purpose)]
        return JSONResponse(page(shown, {"limit": "10000", **request.query_params}))

    async def _show(self, request: Request) -> Response:
        return JSONResponse(asdict(self._files.get(request.path_params["id"])))

    async def _content(self, request: Request) -> Response:
        stored = self._files.get(request.path_params["id"])
        return FileResponse(content(self._files, stored.id), media_type="application/jsonl")

    async def _delete(self, request: Request) -> Response:
        stored = self._files.get(request.path_params["id"])
        for chain in self._jobs.unfinished():
            if any(stored.id in job.files for job in chain):
                user = chain[-1].id
                raise ApiError(409, f"{stored.id} is needed by job {user}", code="file_in_use")
        await run_in_threadpool(self._files.delete, stored.id)
        return JSONResponse({"id": stored.id, "object": "file", "deleted": True})
