"""A provider made for tests: files and jobs in lists, each job at the end it is told to come to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.endpoints.faults import Answer


@dataclass
class ScriptedProvider:
    """What it has, and how its jobs end.

    Attributes:
        ends: Status and error of the jobs, in turn; the last one holds for all that follow.
        page: Most entries of a list in one reply.
        files: Files, oldest first.
        jobs: Jobs, oldest first.
        looks: How often a job is looked at until it ends.
    """

    ends: list[tuple[str, dict[str, Any] | None]] = field(
        default_factory=lambda: [("succeeded", None)]
    )
    page: int = 1
    files: list[dict[str, Any]] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    looks: int = 2

    def __call__(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/files":
            return 200, self._uploaded(body["form"]) if body else self._listed(self.files, query)
        if parts.path == "/fine_tuning/jobs":
            return 200, self._created(body) if body else self._listed(self.jobs, query)
        if parts.path.endswith("/events"):
            return 200, self._events()
        for job in self.jobs:
            if parts.path == f"/fine_tuning/jobs/{job['id']}":
                return 200, self._looked_at(job)
        return 404, {"error": {"message": f"no such address: {path}"}}

    def _uploaded(self, form: str) -> dict[str, Any]:
        name = re.search(r'filename="([^"]+)"', form)
        assert name is not None
        assert "fine-tune" in form
        file = {"id": f"file-{len(self.files)}", "filename": name[1], "object": "file"}
        self.files.append(file)
        return file

    def _created(self, body: dict[str, Any]) -> dict[str, Any]:
        job = {
            **body,
            "id": f"ftjob-{len(self.jobs)}",
            "object": "fine_tuning.job",
            "status": "queued",
            "fine_tuned_model": None,
            "error": None,
            "created_at": 1000,
            "finished_at": None,
            "trained_tokens": None,
            "looks": self.looks,
        }
        self.jobs.append(job)
        return job

    def _looked_at(self, job: dict[str, Any]) -> dict[str, Any]:
        job["looks"] -= 1
        if job["looks"] > 0 or job["status"] not in ("queued", "running"):
            job["status"] = "running" if job["status"] == "queued" else job["status"]
            return job
        status, error = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
        model = f"ft:{job['model']}:{job['id']}" if status == "succeeded" else None
        job |= {"status": status, "error": error, "fine_tuned_model": model}
        job |= {"finished_at": 1060, "trained_tokens": 500}
        return job

    def _events(self) -> dict[str, Any]:
        data = [{"step": n, "total_steps": 3, "train_loss": 4.0 - n} for n in (3, 2, 1)]
        return {"data": [{"id": f"e{n}", "type": "metrics", "data": d} for n, d in enumerate(data)]}

    def _listed(self, entries: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
        """Newest first, fewer than asked for, so that pages are turned."""
        newest = entries[::-1]
        ids = [entry["id"] for entry in newest]
        start = ids.index(query["after"]) + 1 if "after" in query else 0
        shown = newest[start : start + self.page]
        return {"object": "list", "data": shown, "has_more": start + self.page < len(newest)}
