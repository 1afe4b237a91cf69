"""``/fine_tuning/jobs``: create, list, look at, cancel, events."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from forgetless.serving.bodies import Form, parsed
from forgetless.serving.config import ServerConfig
from forgetless.serving.faults import ApiError
from forgetless.serving.files import StoredFile
from forgetless.serving.jobs import FineTuneJob, Jobs, plain
from forgetless.serving.making import check_goes_on
from forgetless.serving.records import Records, page

Auto = Literal["auto"]


class Hyperparameters(Form):
    """How a job is trained; ``auto``: as the server does."""

    n_epochs: Auto | Annotated[int, Field(ge=1, le=1000)] = "auto"
    batch_size: Auto | Annotated[int, Field(ge=1)] = "auto"
    learning_rate_multiplier: Auto | Annotated[float, Field(gt=0)] = "auto"


class Supervised(Form):
    """Settings of supervised fine-tuning."""

    hyperparameters: Hyperparameters = Hyperparameters()


class SupervisedMethod(Form):
    """The one kind of job there is."""

    type: Literal["supervised"]
    supervised: Supervised = Supervised()


class JobRequest(Form):
    """Body of a new job."""

    model: str
    training_file: str
    validation_file: str | None = None
    suffix: str | None = Field(None, max_length=64)
    seed: int | None = Field(None, ge=0, lt=2**32)
    hyperparameters: Hyperparameters = Hyperparameters()
    method: SupervisedMethod | None = None
    metadata: dict[str, str] | None = None

    @property
    def wanted(self) -> dict[str, Any]:
        """Hyperparameters that are not left to the server."""
        chosen = self.method.supervised.hyperparameters if self.method else self.hyperparameters
        return {name: value for name, value in chosen if value != "auto"}


class JobRoutes:
    """Handlers of ``/fine_tuning/jobs``."""

    def __init__(self, config: ServerConfig, files: Records[StoredFile], jobs: Jobs) -> None:
        self._config = config
        self._files = files
        self._jobs = jobs

    def routes(self) -> list[Route]:
        """Addresses and their handlers."""
        all_jobs = "/v1/fine_tuning/jobs"
        one = f"{all_jobs}/{{id}}"
        return [
            Route(all_jobs, self._create, methods=["POST"]),
            Route(all_jobs, self._list, methods=["GET"]),
            Route(one, self._show, methods=["GET"]),
            Route(f"{one}/cancel", self._cancel, methods=["POST"]),
            Route(f"{one}/events", self._events, methods=["GET"]),
        ]

    async def _create(self, request: Request) -> Response:
        form = await parsed(request, JobRequest)
        job = await run_in_threadpool(self._added, form)
        return JSONResponse(job.shown())

    def _added(self, form: JobRequest) -> FineTuneJob:
        parent = None if form.model == self._config.name else self._jobs.maker(form.model)
        for name in (form.training_file, form.validation_file):
            if name is not None:
                self._files.get(name)
        chain = [] if parent is None else self._jobs.chain(parent)
        for name in (name for earlier in chain for name in earlier.files):
            if not self._has(name):
                raise ApiError(
                    400,
                    f"{form.model} was trained with {name}, which was deleted, and a job that "
                    "continues it needs all of its files. Send them again, and start from "
                    f"{self._config.name}",
                    param="model",
                )
        hyperparameters, seed = self._settled(form, parent), self._seed(form, parent)
        if parent is not None:
            check_goes_on(parent, self._config)
        job = FineTuneJob(
            id=self._jobs.records.new_id(),  # makes a folder, so nothing may be refused any more
            created_at=int(time.time()),
            model=form.model,
            training_file=form.training_file,
            validation_file=form.validation_file,
            hyperparameters=hyperparameters,
            seed=seed,
            user_provided_suffix=form.suffix,
            metadata=form.metadata,
            parent=None if parent is None else parent.id,
            task=_task_name(form, [earlier.task for earlier in chain]),
        )
        self._jobs.add(job)
        self._jobs.tell(job.id, f"Created fine-tuning job: {job.id}")
        return job

    def _has(self, file: str) -> bool:
        return any(stored.id == file for stored in self._files.all())

    def _settled(self, form: JobRequest, parent: FineTuneJob | None) -> Mapping[str, Any]:
        """All hyperparameters; a chain of jobs is one sequence, trained alike from end to end.

        Raises:
            ApiError: if others are wanted than the model was trained with.
        """
        training = self._config.training
        usual = {
            "n_epochs": int(training.epochs) if training.steps is None else "auto",
            "batch_size": training.rows_per_step,
            "learning_rate_multiplier": 1.0,
        }
        before = usual if parent is None else dict(parent.hyperparameters)
        for name, value in form.wanted.items():
            if parent is not None and value != before[name]:
                raise ApiError(
                    400,
                    f"{name} is {value}, but {form.model} was trained with {before[name]}; the "
                    "jobs of a chain are trained alike. Leave it out, or start from "
                    f"{self._config.name}",
                    param=name,
                )
        return before | form.wanted

    def _seed(self, form: JobRequest, parent: FineTuneJob | None) -> int:
        usual = self._config.training.seed if parent is None else parent.seed
        if parent is not None and form.seed not in (None, usual):
            raise ApiError(
                400, f"seed is {form.seed}, but {form.model} was trained with {usual}", param="seed"
            )
        return usual if form.seed is None else form.seed

    async def _list(self, request: Request) -> Response:
        shown = [job.shown() for job in self._jobs.records.all()]
        return JSONResponse(page(shown, request.query_params))

    async def _show(self, request: Request) -> Response:
        return JSONResponse(self._jobs.records.get(request.path_params["id"]).shown())

    async def _cancel(self, request: Request) -> Response:
        job = self._jobs.records.get(request.path_params["id"])
        ended: dict[str, Any] = {"status": "cancelled", "finished_at": int(time.time())}
        if not await run_in_threadpool(self._jobs.change, job.id, **ended):
            raise ApiError(400, f"Job {job.id} has {job.status} already", code="job_ended")
        self._jobs.tell(job.id, "The job was cancelled")
        return JSONResponse(self._jobs.records.get(job.id).shown())

    async def _events(self, request: Request) -> Response:
        job = self._jobs.records.get(request.path_params["id"])
        events = await run_in_threadpool(self._jobs.events, job.id)
        return JSONResponse(page(events, request.query_params))


def _task_name(form: JobRequest, taken: list[str]) -> str:
    """What the file's rows are called in the run: its suffix or id, and a number if need be."""
    name = plain(form.suffix or "") or form.training_file
    taken = [earlier.lower() for earlier in taken]
    names = [name, *(f"{name}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name.lower() not in taken)
