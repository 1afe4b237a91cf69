"""A server on a socket, which alone works in its folder."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from forgetless.errors import ModelError, RunFolderError, UsageError
from forgetless.locking import locked
from forgetless.models.source import find_model
from forgetless.plan import ModelConfig
from forgetless.serving.config import ServerConfig


def serve(config: ServerConfig, on_ready: Callable[[str], None]) -> None:
    """Serve until the process is told to end; what is unfinished goes on at the next start.

    Args:
        config: Settings.
        on_ready: Is told the server's address, once it listens.

    Raises:
        UsageError: if the model, the folder or the address cannot be used, or if what a server
            needs is not installed.
    """
    find_model(ModelConfig(name=config.model))
    try:
        import uvicorn

        from forgetless.serving.app import application
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("forgetless"):
            raise
        raise ModelError(
            f"a server needs {error.name}, which is not installed",
            fix="pip install 'forgetless[serve]'",
        ) from None
    try:
        config.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"{config.folder}: cannot be made: {error.strerror}") from None
    with locked(config.folder, "--folder served-2"), _listening(config) as opened:
        host = f"[{config.host}]" if ":" in config.host else config.host
        settings = uvicorn.Config(
            application(config), log_level="warning", access_log=False, timeout_graceful_shutdown=5
        )
        on_ready(f"http://{host}:{opened.getsockname()[1]}/v1")
        uvicorn.Server(settings).run(sockets=[opened])


@contextmanager
def _listening(config: ServerConfig) -> Iterator[socket.socket]:
    try:
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        opened = socket.create_server((config.host, config.port), family=family)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {config.host}:{config.port}: {error.strerror}",
            fix="name another port:  --port 8001",
        ) from None
    with opened:
        yield opened
