"""The job of one stage: made once, however often this process is killed.

Before a file is sent or a job started, ``job.json`` says that it is about to be.  Whoever goes on
from there looks first whether it has come, for a while, as it may come late: a file by its name,
which no other has; a job by its training file.  A refusal says nothing of a try before that had no
reply.  A file is forgotten all the same, as another costs nothing; a job is looked for first.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from forgetless.endpoints.config import EndpointConfig
from forgetless.endpoints.faults import WRONG_REQUEST, Refused, Unanswered
from forgetless.errors import RunFailed
from forgetless.hosted.provider import LOST, Job, Provider
from forgetless.layout import BEGUN_WITH
from forgetless.progress import Progress
from forgetless.storage import write_json

RECORD = "job.json"
MAY_BE_FOR_THE_DATA = WRONG_REQUEST | {404, 413}  # or for a file that is gone
LOOKS = 10  # for what may come late


class StageJob:
    """The file and the job of one stage.

    Args:
        provider: Who has them.
        config: How patiently it is asked.
        folder: Where ``job.json`` is, beside what the stage was begun with.
        stage: The stage's name.
    """

    def __init__(
        self, provider: Provider, config: EndpointConfig, folder: Path, stage: str
    ) -> None:
        self._provider = provider
        self._config = config
        self._path = folder / RECORD
        self._stage = stage
        self._record: dict[str, Any] = self._nothing_done()
        if self._path.is_file():
            self._record = json.loads(self._path.read_text(encoding="utf-8"))

    def start(self, file: Path, settings: Mapping[str, Any]) -> str:
        """Send the training file and start the job, unless they are there; returns the job's id.

        A file that the provider no longer has, as some delete them after a while, is sent again.

        Args:
            file: The training file.
            settings: What the request for the job holds beside it.

        Raises:
            Refused: if the provider will not; if that may be for the data, they may be mended.
            Unanswered: if it does not answer.
            RunFailed: if an earlier try may have started the job, and it does not list its jobs.
        """
        try:
            return self._started(file, settings)
        except Refused as fault:
            if fault.status in MAY_BE_FOR_THE_DATA and self._record["about_to"] is None:
                self._forget()
            raise

    def settled(self, poll_every: float, progress: Progress) -> Job:
        """Wait for the end of the job.

        Raises:
            RunFailed: if it failed or was cancelled; the same command starts a new one then.
        """
        job = self._look()
        while not job.ended:
            told = self._provider.last_loss(job.id) if job.status == "running" else None
            if told is None:
                progress.working(f"job {job.id}: {job.status.replace('_', ' ')}")
            else:
                progress.trained(told.step, told.steps, told.loss)
            time.sleep(poll_every)
            job = self._look()
        if job.status not in LOST:
            return job
        self._forget()
        came = "was cancelled" if job.status == "cancelled" else "failed"
        why = f": {job.error}" if job.error else ""
        raise RunFailed(
            f"{self._stage}: job {job.id} at {self._config.base_url} {came}{why}",
            fix="the same command goes on from here with a new job"
            if job.status == "cancelled"
            else "mend what it says, then run the same command again: it starts a new job",
        )

    def _nothing_done(self) -> dict[str, str | None]:
        """The record of a job of which nothing is done; its file has a name that no other has."""
        name = f"forgetless-{self._stage}-{uuid.uuid4().hex}.jsonl"
        return {"name": name, "about_to": None, "file": None, "job": None}

    def _started(self, file: Path, settings: Mapping[str, Any]) -> str:
        """Send and start; once more if it is refused and the file is gone."""
        try:
            return self._sent_and_started(file, settings)
        except Refused as fault:
            if fault.status not in MAY_BE_FOR_THE_DATA or not self._file_is_gone():
                raise
        self._save(**self._nothing_done())
        return self._sent_and_started(file, settings)

    def _sent_and_started(self, file: Path, settings: Mapping[str, Any]) -> str:
        name = self._record["name"]
        sent = self._once(
            "file",
            lambda: self._provider.upload(name, file),
            lambda: self._provider.uploaded(name),
        )
        return self._once(
            "job",
            lambda: self._provider.create({**settings, "training_file": sent}),
            lambda: self._created(sent),
        )

    def _created(self, sent: str) -> str | None:
        """Id of the job that learns this file, if it was started."""
        try:
            return self._provider.created(sent)
        except Refused as fault:
            if fault.status in (401, 402, 403, 429):  # the list is there, if not for us
                raise
            raise RunFailed(
                f"{fault.message}; so it is not known whether the job of {sent} was started",
                fix="see there whether a job has this training file; if none has, delete "
                f"{self._path.parent}; the same command then starts a new job, and the data may be "
                "mended before",
            ) from None

    def _forget(self) -> None:
        """Let the next try be a new job, whose data may have been mended: nothing was learned."""
        (self._path.parent / BEGUN_WITH).unlink(missing_ok=True)
        self._path.unlink()

    def _file_is_gone(self) -> bool:
        """Whether the file was sent, and is not at the provider any more."""
        sent = self._record["file"]
        try:
            return sent is not None and self._provider.uploaded(self._record["name"]) != sent
        except RunFailed:  # nobody knows
            return False

    def _look(self) -> Job:
        try:
            return self._provider.job(self._record["job"])
        except Refused as fault:
            if fault.status != 404:
                raise
            raise RunFailed(
                fault.message,
                fix=f"if it is gone for good, delete {self._path}; the same command then starts "
                "a new job",
            ) from None

    def _once(self, what: str, make: Callable[[], str], find: Callable[[], str | None]) -> str:
        """Make something of which there must not be two, or find that it is there."""
        if self._record[what] is None:
            begun = self._record["about_to"] == what
            self._save(about_to=what)
            found = self._come(find, self._config.timeout) if begun else None
            self._save(**{what: found or self._made(what, make, find, left_open=begun)})
        made: str = self._record[what]
        return made

    def _made(
        self,
        what: str,
        make: Callable[[], str],
        find: Callable[[], str | None],
        *,
        left_open: bool,
    ) -> str:
        """Make it; a lost reply does not mean that nothing was made, so look before each try.

        ``left_open``: whether an earlier process was killed, or gave up, before it had a reply.
        """
        config = self._config
        for tried in range(config.retries + 1):
            began = time.monotonic()
            try:
                return make()
            except Unanswered:
                if tried == config.retries:
                    raise
            except Refused as fault:
                if what == "job" and (tried or left_open):
                    if fault.status not in MAY_BE_FOR_THE_DATA:  # the next run looks
                        raise
                    if (found := self._come(find, config.timeout)) is not None:
                        return found
                self._save(about_to=None)
                raise
            waited = time.monotonic() - began
            time.sleep(min(config.longest_wait, config.first_wait * 2**tried))
            if (found := self._come(find, waited)) is not None:
                return found
        raise AssertionError("the last try returns or raises")

    def _come(self, find: Callable[[], str | None], seconds: float) -> str | None:
        """Look whether it has come, for so long."""
        end = time.monotonic() + seconds
        while (found := find()) is None and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, seconds / LOOKS))
        return found

    def _save(self, **changes: str | None) -> None:
        self._record |= changes
        write_json(self._path, self._record)
