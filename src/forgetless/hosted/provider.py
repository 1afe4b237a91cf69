"""Files and fine-tuning jobs of a provider, asked one thing at a time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from forgetless.endpoints.background import Background
from forgetless.endpoints.client import Attempts, Client
from forgetless.endpoints.config import EndpointConfig
from forgetless.endpoints.faults import Refused, Unanswered, id_in
from forgetless.endpoints.key import Key
from forgetless.endpoints.replies import finite_number
from forgetless.errors import RunFailed
from forgetless.evaluation.subject import Usage

T = TypeVar("T")

PAGE = 100
FILES, JOBS = "/files", "/fine_tuning/jobs"
LOST = {"failed", "cancelled"}


@dataclass(frozen=True)
class Job:
    """A fine-tuning job, as far as the provider tells of it.

    Attributes:
        id: Its id.
        status: ``validating_files``, ``queued``, ``running``, ``succeeded``, ``failed``, ...
        training_file: Id of its training file.
        model: Name of the fine-tuned model; empty until the job has succeeded, or a little longer.
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
        """A job from a provider's reply; settings are in one of two places.

        Raises:
            Transient: if it has no id.
        """
        method = _mapping(reply.get("method"))
        chosen = _mapping(method.get(str(method.get("type"))))
        settings = {
            **_mapping(reply.get("hyperparameters")),
            **_mapping(chosen.get("hyperparameters")),
        }
        error = reply.get("error")
        error = error if isinstance(error, Mapping) else {"message": error}
        told = [str(error[name]) for name in ("message", "code") if error.get(name)]
        begun = finite_number(reply.get("created_at"))
        ended = finite_number(reply.get("finished_at"))
        tokens = finite_number(reply.get("trained_tokens"))
        batch = finite_number(settings.get("batch_size"))
        return cls(
            id=id_in(reply),
            status=str(reply.get("status")),
            training_file=str(reply.get("training_file")),
            model=str(reply.get("fine_tuned_model") or ""),
            error=f"{told[0]} ({told[1]})" if len(told) > 1 else "".join(told),
            trained_tokens=None if tokens is None else int(tokens),
            batch_size=None if batch is None else int(batch),
            learning_rate_multiplier=finite_number(settings.get("learning_rate_multiplier")),
            seconds=None if begun is None or ended is None else ended - begun,
        )

    @property
    def ended(self) -> bool:
        """Whether its model can be used, or there will be none."""
        return self.status in LOST or (self.status == "succeeded" and bool(self.model))


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
        return self._done(sending, "to take the training file")

    def uploaded(self, name: str) -> str | None:
        """Id of the file of this name, if it has come."""
        return self._found(f"{FILES}?purpose=fine-tune&", "to list files", filename=name)

    def create(self, body: Mapping[str, Any]) -> str:
        """Start a job, once; returns its id."""
        sending = self._client.post(JOBS, body, Attempts(0), Job.read)
        return self._done(sending, "to start the job").id

    def created(self, training_file: str) -> str | None:
        """Id of the job that learns this file, if it was started."""
        return self._found(f"{JOBS}?", "to list jobs", training_file=training_file)

    def job(self, job: str) -> Job:
        """How a job is."""
        return self._get(f"{JOBS}/{job}", f"to tell of job {job}", Job.read)

    def last_loss(self, job: str) -> Loss | None:
        """The newest loss that a job told, if it told any lately."""
        try:
            page = self._get(f"{JOBS}/{job}/events?limit=10", "to list events", dict)
        except RunFailed:  # it is only shown
            return None
        return next(_losses(_entries(page)), None)

    def losses(self, job: str) -> list[Loss]:
        """All losses that a job told, by step; none of a provider that tells none."""
        try:
            found = list(_losses(self._listed(f"{JOBS}/{job}/events?", "to list events")))
        except RunFailed:
            return []
        return sorted(found, key=lambda loss: loss.step)

    def _found(self, path: str, what: str, **wanted: str) -> str | None:
        """Id of the newest entry of a list with such a property."""
        for entry in self._listed(path, what):
            if wanted.items() <= entry.items() and entry.get("id"):
                return str(entry["id"])
        return None

    def _listed(self, path: str, what: str) -> Iterator[Mapping[str, Any]]:
        """All entries of a list that comes in pages, newest first.

        A server that knows nothing of pages sends the first one again and again.
        """
        after, seen = "", set[str]()
        while True:
            page = self._get(f"{path}limit={PAGE}{after}", what, dict)
            entries = [entry for entry in _entries(page) if str(entry.get("id")) not in seen]
            yield from entries
            if not (entries and page.get("has_more")):
                return
            seen.update(str(entry.get("id")) for entry in entries)
            after = f"&after={entries[-1].get('id')}"

    def _get(self, path: str, what: str, read: Callable[[Mapping[str, Any]], T]) -> T:
        return self._done(self._client.get(path, Attempts(self._config.retries), read), what)

    def _done(self, work: Coroutine[Any, Any, T], what: str) -> T:
        try:
            return self._background.run(work)
        except Refused as fault:
            raise Refused(
                fault.status,
                fault.said,
                f"{self._config.base_url} refused {what} (HTTP {fault.status}): {fault.said}",
                fix=_remedy(fault.status, self._config.key_variable),
            ) from None
        except Unanswered as fault:
            raise Unanswered(
                f"{self._config.base_url} does not answer when asked {what}: {fault.message}",
                fix="run the same command again when it answers; it goes on from here",
                away=fault.away,
            ) from None


def _remedy(status: int, variable: str) -> str | None:
    if status in (401, 403):
        return f"check that the key in ${variable} is right, and may fine-tune there"
    if status in (402, 429):
        return "check the account there: its credit and its limits"
    if status == 404:
        return "check the address and the model; not every provider has fine-tuning jobs"
    return None


def _losses(events: Iterable[Mapping[str, Any]]) -> Iterator[Loss]:
    for event in events:
        data = _mapping(event.get("data"))
        step, loss = finite_number(data.get("step")), finite_number(data.get("train_loss"))
        if step is not None and loss is not None:
            steps = finite_number(data.get("total_steps"))
            yield Loss(int(step), int(step if steps is None else steps), loss)


def _entries(page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Entries of a page of a list; of another form, they count as not told, as all here."""
    data = page.get("data")
    return [entry for entry in data if isinstance(entry, Mapping)] if isinstance(data, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    """A mapping; an empty one for whatever is none."""
    return value if isinstance(value, Mapping) else {}
