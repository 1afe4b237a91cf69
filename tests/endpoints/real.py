"""Real servers on SmolLM2, each a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

PATIENCE = 120.0  # seconds for a server to load its model


def llama_python() -> str:
    """A Python that has ``llama_cpp.server``; it may live in an environment of its own."""
    python = os.environ.get("FORGETLESS_LLAMA_PYTHON", sys.executable)
    asked = [python, "-c", "import llama_cpp.server.app"]
    if subprocess.run(asked, capture_output=True, check=False).returncode:
        pytest.skip("llama-cpp-python[server] is not installed: see docs/endpoints.md")
    return python


@contextmanager
def llama_cpp_server(gguf: Path) -> Iterator[str]:
    """``llama_cpp.server``, which knows log-probabilities."""
    port = _free_port()
    with _running(
        [
            *(llama_python(), "-m", "llama_cpp.server", "--model", str(gguf)),
            *("--model_alias", "smol", "--port", str(port), "--logits_all", "true"),
            *("--n_ctx", "1024", "--n_threads", "1", "--n_threads_batch", "1"),
        ],
        port,
        "/v1/models",
    ) as url:
        yield url


@contextmanager
def transformers_serve(folder: Path) -> Iterator[str]:
    """``transformers serve``, which ignores ``logprobs`` and ``echo`` with success."""
    pytest.importorskip("fastapi", reason="transformers[serving] is not installed")
    pytest.importorskip("uvicorn", reason="transformers[serving] is not installed")
    pytest.importorskip("openai", reason="transformers[serving] is not installed")
    port = _free_port()
    command = "from transformers.cli.transformers import main; main()"
    settings = ("--device", "cpu", "--dtype", "float32", "--port", str(port))
    with _running(
        [sys.executable, "-c", command, "serve", str(folder), *settings], port, "/health"
    ) as url:
        yield url


@contextmanager
def _running(command: Sequence[str], port: int, path: str) -> Iterator[str]:
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    try:
        base = f"http://127.0.0.1:{port}"
        until = time.monotonic() + PATIENCE
        while not _answers(base + path):
            if process.poll() is not None or time.monotonic() > until:
                pytest.skip(f"the server cannot be started: {' '.join(command[:4])}")
            time.sleep(0.2)
        yield f"{base}/v1"
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=2.0).status_code == 200
    except httpx2.HTTPError:
        return False


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
