"""Works jobs off, one after another, each in a process of its own."""

from __future__ import annotations

import logging
import multiprocessing
import shutil
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from forgetless.errors import ForgetlessError, PlanError
from forgetless.layout import PLAN
from forgetless.plan import load_plan
from forgetless.serving.config import ServerConfig
from forgetless.serving.faults import ApiError
from forgetless.serving.files import StoredFile, content
from forgetless.serving.jobs import FineTuneJob, Jobs, plain
from forgetless.serving.making import check_goes_on, making
from forgetless.serving.records import Records
from forgetless.serving.training import carry_out, plan_of

PATIENCE = 0.1  # seconds between looks whether a running job was cancelled
END_SECONDS = 10.0
REST_SECONDS = 10.0  # before another try where nothing can be written, or the base not be read

log = logging.getLogger(__name__)


class Worker:
    """Trains the oldest unfinished job until there is none, then waits for another.

    A job that was running when the server ended is the first when it starts again; its run goes on
    from the last checkpoint.  Where this server would train it otherwise than it was begun, it
    waits for one that would not; where the base cannot be read, until it can.

    Args:
        config: The server's settings.
        files: Its files.
        jobs: Its jobs.

    Attributes:
        waiting: Ids of the jobs that wait for another server.
    """

    def __init__(self, config: ServerConfig, files: Records[StoredFile], jobs: Jobs) -> None:
        self._config = config
        self._files = files
        self._jobs = jobs
        self.waiting: set[str] = set()
        self._unread: set[str] = set()  # ids of jobs that wait for their base
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="forgetless-jobs", daemon=True)
        # A server of processes loads torch once, and every job begins with it.
        forks = sys.platform != "win32"
        self._context: Any = multiprocessing.get_context("forkserver" if forks else "spawn")
        if forks:
            self._context.set_forkserver_preload(["forgetless.serving.loaded"])

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def end(self) -> None:
        """Stop, and leave what is unfinished for the next start."""
        self._ending.set()
        with self._jobs.changed:
            self._jobs.changed.notify_all()
        self._thread.join(END_SECONDS)

    def _work(self) -> None:
        while not self._ending.is_set():
            try:
                self._work_on()
            except Exception:
                log.exception("jobs: tried again in %g seconds", REST_SECONDS)
                self._ending.wait(REST_SECONDS)

    def _work_on(self) -> None:
        """Train the next job, or wait for one."""
        self._jobs.tidy()
        with self._jobs.changed:
            job = self._jobs.next(but=self.waiting | self._unread)
            if job is None:
                if not self._ending.is_set():
                    self._jobs.changed.wait(REST_SECONDS if self._unread else None)
                self._unread.clear()
                return
        try:
            self._train(job)
        except (ApiError, ForgetlessError) as error:
            self._fail(job.id, "training_failed", error.message)
        except Exception as error:  # one job must not keep the others from being trained
            self._fail(job.id, "server_error", f"{type(error).__name__}: {error}")

    def _train(self, job: FineTuneJob) -> None:
        chain = self._jobs.chain(job)
        needed = {name for one in chain for name in one.files}
        try:
            for name in needed:
                self._files.get(name)
        except ApiError as error:
            self._fail(job.id, "invalid_training_file", error.message)
            return
        try:
            for made in chain[-2:]:
                check_goes_on(made, self._config)
        except (ApiError, ForgetlessError) as error:
            if job.made_with is None:
                raise
            (self.waiting if isinstance(error, ApiError) else self._unread).add(job.id)
            self._wait(job.id, error.message)
            return
        made_with = job.made_with or making(job, self._config)
        self._unread.clear()
        contents = {name: content(self._files, name) for name in needed}
        self._check_place(job.id, contents[job.training_file])
        ours, theirs = multiprocessing.Pipe(duplex=False)
        process = self._context.Process(
            target=carry_out,
            args=(
                plan_of(job, chain, contents, self._config),
                self._jobs.run_folder(job.id),
                None if job.parent is None else self._jobs.run_folder(job.parent),
                [contents[name] for name in job.files],
                theirs,
            ),
            daemon=True,
        )
        self._jobs.change(job.id, status="validating_files", made_with=made_with)
        with ours:
            process.start()
            theirs.close()
            try:
                self._listen(job.id, ours, process)
            finally:
                process.terminate()
                process.join()

    def _check_place(self, job: str, file: Path) -> None:
        """Remove a run that was begun in another folder; its plan names the files that were there.

        Its last checkpoint is lost, but not the stages before, which are another job's.
        """
        plan = self._jobs.run_folder(job) / PLAN
        try:
            moved = plan.is_file() and load_plan(plan).sequence[-1].train != str(file)
        except PlanError:  # damaged, which the run sees to
            return
        if moved:
            shutil.rmtree(plan.parent)
            self._jobs.tell(
                job, "The server's folder was moved since this job was begun: it begins anew"
            )

    def _listen(self, job: str, told: Connection, process: BaseProcess) -> None:
        """Note what a process tells, until it ends or need not go on."""
        while not self._ending.is_set() and self._jobs.records.get(job).status != "cancelled":
            try:
                news = told.recv() if told.poll(PATIENCE) else None
            except (EOFError, OSError):
                process.join(END_SECONDS)
                ended = process.exitcode
                # The same shutdown may end us as well, if later: answers are waited for.
                if ended != -signal.SIGTERM or not self._ending.wait(END_SECONDS):
                    self._fail(job, "server_error", f"the training process ended with {ended}")
                return
            if news is not None and self._noted(job, *news):
                return

    def _noted(self, job: str, kind: str, *values: Any) -> bool:
        """Note what was told; whether it was the last."""
        if kind == "running":
            self._jobs.change(job, status="running")
            self._jobs.tell(job, "Fine-tuning job started")
        elif kind == "note":
            self._jobs.tell(job, values[0])
        elif kind == "step":
            step, steps, loss = values
            data = {"step": step, "total_steps": steps, "train_loss": loss}
            self._jobs.tell(job, f"Step {step}/{steps}: training loss={loss:.4f}", data)
        elif kind == "failed":
            self._fail(job, *values)
        else:
            self._succeed(job, *values)
        return kind in ("failed", "done")

    def _succeed(self, job: str, tokens: int) -> None:
        with self._jobs.changed:  # else it could be cancelled after its model was announced
            made = self._jobs.records.get(job)
            if made.status == "cancelled":
                return
            suffix = plain(made.user_provided_suffix or "")
            model = f"ft:{self._config.name}:forgetless:{suffix}:{job[-8:]}"
            self._jobs.tell(job, f"New fine-tuned model created: {model}")
            self._jobs.change(
                job,
                status="succeeded",
                fine_tuned_model=model,
                trained_tokens=tokens,
                finished_at=int(time.time()),
            )

    def _wait(self, job: str, message: str) -> None:
        """Leave a job that was begun, and its run, for later; what it waits for is told once."""
        said = f"The job waits: {message}"
        log.warning("%s: %s", job, said)
        told = [event["message"] for event in self._jobs.events(job)[-1:]]
        if self._jobs.change(job, status="queued") and said not in told:
            self._jobs.tell(job, said)

    def _fail(self, job: str, code: str, message: str) -> None:
        error = {"code": code, "message": message, "param": None}
        if code == "invalid_training_file":
            error["param"] = "training_file"
        if self._jobs.change(job, status="failed", error=error, finished_at=int(time.time())):
            self._jobs.tell(job, f"The job failed: {message}")
