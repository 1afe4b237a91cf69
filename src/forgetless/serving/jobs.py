"""Fine-tuning jobs: what they are, which files their chain has learned, and where they stand."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
import uuid
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from forgetless.serving.faults import ApiError
from forgetless.serving.records import Records

UNFINISHED = ("queued", "validating_files", "running")
SECRET = ("parent", "task", "made_with", "deleted")  # fields that are nobody's business but ours


@dataclass(frozen=True)
class FineTuneJob:
    """A job; most fields are those of the API.

    Attributes:
        parent: The job whose model it starts from; None: the base model.
        task: What its run calls the file's rows.
        made_with: What its training was begun with beside files; None if it was not begun, or by an
            older version.
        deleted: Whether its model was deleted.
    """

    id: str
    created_at: int
    model: str
    training_file: str
    validation_file: str | None
    hyperparameters: Mapping[str, Any]
    seed: int
    user_provided_suffix: str | None
    metadata: Mapping[str, str] | None
    parent: str | None
    task: str
    status: str = "queued"
    fine_tuned_model: str | None = None
    finished_at: int | None = None
    trained_tokens: int | None = None
    error: Mapping[str, str | None] | None = None
    made_with: Mapping[str, Any] | None = None
    deleted: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """Its files: the one it learns, and the one it is measured with if there is one."""
        return tuple(name for name in (self.training_file, self.validation_file) if name)

    @property
    def called(self) -> str:
        """Its model in messages; the job itself until there is one."""
        return self.fine_tuned_model or self.id

    def shown(self) -> dict[str, Any]:
        """The job as the API shows it."""
        fields = {name: value for name, value in asdict(self).items() if name not in SECRET}
        settings = {"hyperparameters": dict(self.hyperparameters)}
        return fields | {
            "object": "fine_tuning.job",
            "organization_id": "forgetless",
            "result_files": [],
            "estimated_finish": None,
            "integrations": [],
            "method": {"type": "supervised", "supervised": settings},
        }


def plain(text: str) -> str:
    """A text as part of a name.

    >>> plain("my law/tax model")
    'my-law-tax-model'
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")


@dataclass
class Jobs:
    """All jobs of a server, with their events; changes are seen by whoever waits for them.

    Attributes:
        records: The jobs.
        changed: Is notified of every change.
    """

    records: Records[FineTuneJob]
    changed: threading.Condition = field(default_factory=threading.Condition)

    @classmethod
    def kept_in(cls, folder: Path) -> Jobs:
        """The jobs in a folder."""
        return cls(Records(folder, "job", "ftjob-", lambda values: FineTuneJob(**values), asdict))

    def change(self, job: str, *, only_if: tuple[str, ...] = UNFINISHED, **changes: Any) -> bool:
        """Change a job, if it still is in one of these states; returns whether it was."""
        with self.changed:
            now = self.records.get(job)
            if now.status not in only_if:
                return False
            self.records.put(job, replace(now, **changes))
            self.changed.notify_all()
            return True

    def add(self, job: FineTuneJob) -> None:
        """Take a new job in."""
        with self.changed:
            self.records.put(job.id, job)
            self.changed.notify_all()

    def next(self, but: Container[str] = ()) -> FineTuneJob | None:
        """The oldest job that is not finished, but for some."""
        for job in self.records.all():
            if job.status in UNFINISHED and job.id not in but:
                return job
        return None

    def chain(self, job: FineTuneJob) -> list[FineTuneJob]:
        """The jobs whose models it builds on, oldest first, and itself.

        Raises:
            ApiError: if one of them is gone, as when its record was damaged and had to be deleted.
        """
        found = [job]
        while (parent := found[0].parent) is not None:
            try:
                found.insert(0, self.records.get(parent))
            except ApiError:
                raise ApiError(
                    400,
                    f"{found[0].called} builds on job {parent}, whose record is gone: start from "
                    "the base model",
                    param="model",
                ) from None
        return found

    def maker(self, model: str) -> FineTuneJob:
        """The job that made a model.

        Raises:
            ApiError: if there is no such model.
        """
        for job in self.records.all():
            if job.fine_tuned_model == model and not job.deleted:
                return job
        raise ApiError(
            404, f"The model '{model}' does not exist", param="model", code="model_not_found"
        )

    def unfinished(self) -> Iterator[list[FineTuneJob]]:
        """Chains of the unfinished jobs; a job that builds on one that is gone will fail."""
        for job in self.records.all():
            if job.status in UNFINISHED:
                with suppress(ApiError):
                    yield self.chain(job)

    def tell(self, job: str, message: str, data: Mapping[str, Any] | None = None) -> None:
        """Add an event; with ``data``, one of figures."""
        event = {
            "id": f"ftevent-{uuid.uuid4().hex[:24]}",
            "object": "fine_tuning.job.event",
            "created_at": int(time.time()),
            "level": "info",
            "message": message,
            "type": "message" if data is None else "metrics",
            "data": dict(data or {}),
        }
        with self._events(job).open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(event))  # first, as a kill may have torn the line before

    def events(self, job: str) -> list[dict[str, Any]]:
        """Events of a job, oldest first."""
        path = self._events(job)
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:  # torn by a kill, or the empty first line
                continue
        return found

    def run_folder(self, job: str) -> Path:
        """Folder of the run that a job is."""
        return self.records.path(job) / "run"

    def tidy(self) -> None:
        """Remove runs of which nothing is of use any more, while none of them is worked on.

        Of a job that failed or was cancelled, none goes on; a deleted model is asked by nobody, and
        jobs that continue it have its weights in runs of their own. What is left is the job's
        record, its events and its files.
        """
        for job in self.records.all():
            if job.status in ("failed", "cancelled") or job.deleted:
                shutil.rmtree(self.run_folder(job.id), ignore_errors=True)

    def _events(self, job: str) -> Path:
        return self.records.path(job) / "events.jsonl"
