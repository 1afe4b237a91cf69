"""One server for all tests, and the model of a chain of two jobs on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai.types.fine_tuning import FineTuningJob

from forgetless.plan import TrainingConfig
from forgetless.serving.config import ServerConfig
from tests.serving.build import Served, serving
from tests.tiny import colours

TRAINING = TrainingConfig(epochs=12, batch_size=4, learning_rate=3e-3, checkpoint_every=2)


@pytest.fixture(autouse=True)
def _no_key_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture(scope="session")
def served(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    with serving(ServerConfig(str(tiny_model), folder, "tiny", training=TRAINING)) as found:
        yield found


@pytest.fixture(scope="session")
def chain(
    served: Served, tmp_path_factory: pytest.TempPathFactory
) -> tuple[FineTuningJob, FineTuningJob]:
    """Two jobs that have succeeded, the second from the model of the first."""
    folder = tmp_path_factory.mktemp("rows")
    made: list[FineTuningJob] = []
    for suffix, offset in (("one", 0), ("two", 3)):
        created = served.client.fine_tuning.jobs.create(
            model=made[0].fine_tuned_model if made else "tiny",  # type: ignore[arg-type]
            training_file=served.upload(colours(offset), folder),
            suffix=suffix,
        )
        made.append(served.settled(created.id))
        assert made[-1].status == "succeeded", made[-1].error
    return made[0], made[1]
