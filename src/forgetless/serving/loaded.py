"""The model that was asked last, kept in memory; imported before jobs begin, with all it needs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import forgetless.evaluation.store
import forgetless.sequence
import forgetless.training.stage
import forgetless.training.trainer  # noqa: F401 - every job needs it
from forgetless.errors import ForgetlessError
from forgetless.models.load import LoadedModel, load_model, pick_device
from forgetless.plan import ModelConfig
from forgetless.result import RunResult
from forgetless.serving.callers import Caller
from forgetless.serving.config import ServerConfig
from forgetless.serving.faults import ApiError
from forgetless.serving.jobs import FineTuneJob, Jobs
from forgetless.serving.making import check_base


class Shelf:
    """Loads models by their names in the API; one at a time is asked.

    Args:
        config: The server's settings.
        jobs: Its jobs, which made the fine-tuned models.
    """

    def __init__(self, config: ServerConfig, jobs: Jobs) -> None:
        self._config = config
        self._jobs = jobs
        self._lock = threading.Lock()
        self._held: tuple[str, LoadedModel] | None = None

    @contextmanager
    def opened(self, name: str, caller: Caller) -> Iterator[LoadedModel]:
        """A model, for whoever asks it; others wait.

        Raises:
            ApiError: if there is no such model, or it cannot be loaded, or was made from another
                base, or if the caller did not wait for their turn.
        """
        with self._lock:
            if caller.has_left():
                raise ApiError(499, "The client has hung up")
            made = self._made(name)  # not earlier, as it may be deleted while others are answered
            if self._held is None or self._held[0] != name:
                self._held = None  # let go of the old one before loading another
                try:
                    folder = None
                    if made is not None:
                        check_base(made, self._config)
                        folder = RunResult(self._jobs.run_folder(made.id)).model_path().parent
                    device = pick_device(self._config.training.device)
                    loaded = load_model(ModelConfig(name=self._config.model), device, folder)
                except ForgetlessError as error:
                    self._made(name)  # if it was deleted meanwhile, that is why
                    raise ApiError(500, error.message) from None
                self._held = (name, loaded)
            yield self._held[1]

    def forget(self, name: str) -> None:
        """Let go of a model that was deleted, as soon as nobody is asking any."""
        threading.Thread(target=self._forget, args=(name,), daemon=True).start()

    def _forget(self, name: str) -> None:
        with self._lock:
            if self._held is not None and self._held[0] == name:
                self._held = None

    def _made(self, name: str) -> FineTuneJob | None:
        """The job that made a model; None of the base model."""
        return None if name == self._config.name else self._jobs.maker(name)
