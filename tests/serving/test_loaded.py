"""The model that was asked last, and its deletion while somebody asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forgetless.errors import ModelError
from forgetless.serving import loaded
from forgetless.serving.config import ServerConfig
from forgetless.serving.faults import ApiError
from forgetless.serving.jobs import Jobs
from forgetless.serving.loaded import Shelf
from forgetless.serving.models import ModelRoutes
from tests.serving.test_jobs import added

WAITS: Any = SimpleNamespace(has_left=lambda: False)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """Has ``tiny`` and ``ft:tiny``, which load at once."""
    jobs = Jobs.kept_in(tmp_path / "jobs")
    added(jobs, status="succeeded", fine_tuned_model="ft:tiny")
    monkeypatch.setattr(loaded, "RunResult", lambda _: SimpleNamespace(model_path=Path))
    monkeypatch.setattr(loaded, "load_model", lambda *_: object())
    return Shelf(ServerConfig("model", tmp_path, "tiny"), jobs)


@pytest.fixture
def delete(shelf: Shelf) -> Callable[[], None]:
    """Delete ``ft:tiny``, which is to be done at once."""
    routes = ModelRoutes(shelf._config, shelf._jobs, shelf)

    def delete() -> None:
        deleting = threading.Thread(target=routes._deleted, args=("ft:tiny",), daemon=True)
        deleting.start()
        deleting.join(10)
        assert not deleting.is_alive()

    return delete


def test_who_waited_for_a_model_that_was_deleted_meanwhile_is_told_so(
    shelf: Shelf, delete: Callable[[], None]
) -> None:
    def ask() -> None:
        with shelf.opened("ft:tiny", WAITS):
            pass

    with ThreadPoolExecutor() as threads:
        with shelf.opened("tiny", WAITS):
            waiting = threads.submit(ask)
            time.sleep(0.2)  # until it waits
            delete()
        with pytest.raises(ApiError, match="The model 'ft:tiny' does not exist"):
            waiting.result()


def test_a_model_that_cannot_be_loaded_because_it_was_deleted_does_not_exist(
    shelf: Shelf, delete: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: Any) -> None:
        delete()
        raise ModelError("/served/jobs/1: not found")

    monkeypatch.setattr(loaded, "load_model", load)
    with (
        pytest.raises(ApiError, match="The model 'ft:tiny' does not exist"),
        shelf.opened("ft:tiny", WAITS),
    ):
        pass


def test_a_model_that_is_deleted_while_it_is_asked_is_let_go_of_afterwards(
    shelf: Shelf, delete: Callable[[], None]
) -> None:
    with shelf.opened("ft:tiny", WAITS):
        delete()
        assert shelf._held is not None
    until = time.monotonic() + 10
    while shelf._held is not None:
        assert time.monotonic() < until
        time.sleep(0.01)
