"""A real server over the tiny model on a real socket, in a thread of this process."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import uvicorn
from openai.types.fine_tuning import FineTuningJob

from forgetless.serving.app import application
from forgetless.serving.config import ServerConfig
from tests.tiny import write_rows

PATIENCE = 900.0  # seconds for a job on a busy machine
ENDED = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True)
class Served:
    """A running server.

    Attributes:
        url: Its address, with ``/v1``.
        config: Its settings.
        client: OpenAI's own client, pointed at it.
    """

    url: str
    config: ServerConfig
    client: openai.OpenAI

    def upload(self, rows: Sequence[Mapping[str, Any]], folder: Path) -> str:
        """Send rows of prompt and completion as a training file."""
        file = write_rows(folder / "rows.jsonl", [as_chat(row) for row in rows])
        with file.open("rb") as opened:
            return self.client.files.create(file=opened, purpose="fine-tune").id

    def settled(self, job: str) -> FineTuningJob:
        """Wait for the end of a job."""
        until = time.monotonic() + PATIENCE
        while (found := self.client.fine_tuning.jobs.retrieve(job)).status not in ENDED:
            assert time.monotonic() < until, found
            time.sleep(0.05)
        return found

    def messages(self, job: str) -> list[str]:
        """What the events of a job say, oldest first."""
        return [event.message for event in self.client.fine_tuning.jobs.list_events(job)][::-1]


def as_chat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of prompt and completion in the chat format."""
    return {
        "messages": [
            {"role": "user", "content": row["prompt"]},
            {"role": "assistant", "content": row["completion"]},
        ]
    }


@contextmanager
def serving(config: ServerConfig, grace: int | None = None) -> Iterator[Served]:
    """A server until the end of the block; unfinished jobs stay unfinished.

    Args:
        config: Its settings.
        grace: Seconds for which its end waits for answers; None: until there is none.
    """
    settings = uvicorn.Config(
        application(config),
        port=0,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=grace,
    )
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    (socket,) = server.servers[0].sockets
    url = f"http://127.0.0.1:{socket.getsockname()[1]}/v1"
    client = openai.OpenAI(
        api_key=config.token or "none", base_url=url, max_retries=0, timeout=PATIENCE
    )
    try:
        yield Served(url, config, client)
    finally:
        client.close()
        server.should_exit = True
        thread.join(30)


def lines(path: Path) -> list[dict[str, Any]]:
    """A JSONL file, read."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
