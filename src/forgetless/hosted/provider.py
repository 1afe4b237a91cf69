"""Files and fine-tuning jobs of a provider, asked one thing at a time."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from forgetless.endpoints.background import Background
from forgetless.endpoints.client import Attempts, Client
from forgetless.endpoints.config import EndpointConfig
from forgetless.endpoints.faults import Refused
from forgetless.endpoints.key import Key
from forgetless.errors import RunFailed
from forgetless.evaluation.subject import Usage

T = TypeVar("T")

PAGE = 100
FILES, JOBS = "/files", "/fine_tuning/jobs"
SUCCEEDED = "succeeded"
ENDED = {SUCCEEDED, "failed", "cancelled"}


@dataclass(frozen=True)
class Job:
    """A fine-tuning job, as far as the provider tells of it.

    Attributes:
        id: Its id.
        status: ``validating_files``, ``queued``, ``running``, ``succeeded``, ``failed``, ...
        training_file: Id of its training file.
        model: Name of the fine-tuned model; empty until it has succeeded.
        error: Why it failed; empty if it did not.
        trained_tokens: Tokens that were trained on, those of every epoch counted; None if not told.
        batch_size: Rows in one optimiser step; None if not told.
        learning_rate_multiplier: Factor of the provider's rate; None if not told.
        seconds: From its creation to its end; None if not told.
    """

    id: str
    status: str
    training_file: str
    model: str
    error: str
    trained_tokens: int | None
    batch_size: int | None
    learning_rate_multiplier: float | None
    seconds: float | None

    @classmethod
    def read(cls, reply: Mapping[str, Any]) -> Job:
        """A job from a provider's reply; settings are in one of two places."""
        method = reply.get("method") or {}
        settings = reply.get("hyperparameters") or {}
        settings = settings | ((method.get(method.get("type")) or {}).get("hyperparameters") or {})
        error = reply.get("error") or {}
        told = [str(error[name]) for name in ("message", "code") if error.get(name)]
        begun, ended = _number(reply.get("created_at")), _number(reply.get("finished_at"))
        tokens, batch = _number(reply.get("trained_tokens")), _number(settings.get("batch_size"))
        return cls(
            id=str(reply.get("id")),
            status=str(reply.get("status")),
            training_file=str(reply.get("training_file")),
            model=str(reply.get("fine_tuned_model") or ""),
            error=f"{told[0]} ({told[1]})" if len(told) > 1 else "".join(told),
            trained_tokens=None if tokens is None else int(tokens),
            batch_size=None if batch is None else int(batch),
            learning_rate_multiplier=_number(settings.get("learning_rate_multiplier")),
            seconds=None if begun is None or ended is None else ended - begun,
        )


@dataclass(frozen=True)
class Loss:
    """What a job told of one optimiser step: its number, how many there are, and the loss."""

    step: int
    steps: int
    loss: float


class Provider:
    """A provider's files and jobs; close it, or use it in a ``with`` block.

    Args:
        config: Its address, and how patiently it is asked.
        key: Its key; None: from the environment variable that the configuration names.
    """

    def __init__(self, config: EndpointConfig, key: Key | None = None) -> None:
        self._config = config
        self._key = Key.from_environment(config.key_variable) if key is None else key
        self._client = Client(config, self._key, Usage())
        self._background = Background()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._background.close(self._client.close)

    def upload(self, name: str, file: Path) -> str:
        """Send a training file, once; returns its id."""
        fields = {"purpose": "fine-tune"}
        sending = self._client.upload(FILES, name, file, fields)
        return self._done(sending, "the training file")

    def uploaded(self, name: str) -> str | None:
        """Id of the file of this name, if it has come."""
        for file in self._listed(f"{FILES}?purpose=fine-tune&", "to list files"):
            if file.get("filename") == name:
                return str(file.get("id"))
        return None

    def create(self, body: Mapping[str, Any]) -> str:
        """Start a job, once; returns its id."""
        sending = self._client.post(JOBS, body, Attempts(0), Job.read)
        return self._done(sending, "the job").id

    def created(self, training_file: str) -> str | None:
        """Id of the job that learns this file, if it was started."""
        for job in self._listed(f"{JOBS}?", "to list jobs"):
            if job.get("training_file") == training_file:
                return str(job.get("id"))
        return None

    def job(self, job: str) -> Job:
        """How a job is."""
        return Job.read(self._get(f"{JOBS}/{job}", f"to tell of job {job}"))

    def last_loss(self, job: str) -> Loss | None:
        """The newest loss that a job told, if it told any lately."""
        try:
            page = self._get(f"{JOBS}/{job}/events?limit=10", "to list events")
        except RunFailed:  # it is only shown
            return None
        return next(_losses(page.get("data")), None)

    def losses(self, job: str) -> list[Loss]:
        """All losses that a job told, by step; none of a provider that tells none."""
        try:
            found = list(_losses(self._listed(f"{JOBS}/{job}/events?", "to list events")))
        except RunFailed:
            return []
        return sorted(found, key=lambda loss: loss.step)

    def _listed(self, path: str, what: str) -> Iterator[Mapping[str, Any]]:
        """All entries of a list that comes in pages, newest first."""
        after = ""
        while True:
            page = self._get(f"{path}limit={PAGE}{after}", what)
            entries = [entry for entry in page.get("data") or () if isinstance(entry, Mapping)]
            yield from entries
            if not (entries and page.get("has_more")):
                return
            after = f"&after={entries[-1].get('id')}"

    def _get(self, path: str, what: str) -> dict[str, Any]:
        return self._done(self._client.get(path, Attempts(self._config.retries)), what)

    def _done(self, work: Coroutine[Any, Any, T], what: str) -> T:
        try:
            return self._background.run(work)
        except Refused as fault:
            raise RunFailed(
                f"{self._config.base_url} refused {what} (HTTP {fault.status}): {fault.said}",
                fix=_remedy(fault.status, self._config.key_variable),
            ) from None


def _remedy(status: int, variable: str) -> str | None:
    if status in (401, 403):
        return f"check that the key in ${variable} is right, and may fine-tune there"
    if status == 404:
        return "check the address and the model; not every provider has fine-tuning jobs"
    return None


def _losses(events: Any) -> Iterator[Loss]:
    for event in events or ():
        data = event.get("data") if isinstance(event, Mapping) else None
        data = data if isinstance(data, Mapping) else {}
        step, loss = _number(data.get("step")), _number(data.get("train_loss"))
        if step is not None and loss is not None:
            steps = _number(data.get("total_steps"))
            yield Loss(int(step), int(step if steps is None else steps), loss)


def _number(value: Any) -> float | None:
    """A number; ``auto`` and what is not told are none."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
