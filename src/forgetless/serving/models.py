"""``/models``: the base model, and those that jobs made."""

from __future__ import annotations

import shutil
import time
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from forgetless.serving.config import ServerConfig
from forgetless.serving.faults import ApiError
from forgetless.serving.jobs import FineTuneJob, Jobs
from forgetless.serving.loaded import Shelf


class ModelRoutes:
    """Handlers of ``/models``."""

    def __init__(self, config: ServerConfig, jobs: Jobs, shelf: Shelf) -> None:
        self._config = config
        self._jobs = jobs
        self._shelf = shelf
        self._begun = int(time.time())

    def routes(self) -> list[Route]:
        """Addresses and their handlers."""
        one = "/v1/models/{model:path}"
        return [
            Route("/v1/models", self._list, methods=["GET"]),
            Route(one, self._show, methods=["GET"]),
            Route(one, self._delete, methods=["DELETE"]),
        ]

    async def _list(self, request: Request) -> Response:
        made = [job for job in self._jobs.records.all() if job.fine_tuned_model and not job.deleted]
        shown = [self._shown(None), *map(self._shown, made)]
        return JSONResponse({"object": "list", "data": shown})

    async def _show(self, request: Request) -> Response:
        name = request.path_params["model"]
        return JSONResponse(
            self._shown(None if name == self._config.name else self._jobs.maker(name))
        )

    async def _delete(self, request: Request) -> Response:
        name = request.path_params["model"]
        if name == self._config.name:
            raise ApiError(403, f"{name} is the base model", param="model")
        await run_in_threadpool(self._deleted, name)
        return JSONResponse({"id": name, "object": "model", "deleted": True})

    def _deleted(self, name: str) -> None:
        made = self._jobs.maker(name)
        for chain in self._jobs.unfinished():
            if made in chain:
                raise ApiError(409, f"job {chain[-1].id} builds on {name}", code="model_in_use")
        self._jobs.change(made.id, only_if=("succeeded",), deleted=True)
        self._shelf.forget(name)
        shutil.rmtree(self._jobs.run_folder(made.id), ignore_errors=True)

    def _shown(self, made: FineTuneJob | None) -> dict[str, Any]:
        name, created, owner = (
            (self._config.name, self._begun, "forgetless")
            if made is None
            else (made.fine_tuned_model, made.finished_at, made.id)
        )
        return {"id": name, "object": "model", "created": created, "owned_by": owner}
