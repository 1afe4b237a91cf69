"""A job as a run: the files of its chain are the sequence of a plan, the last of them is new.

Stages that the chain has trained before are taken from the run of the job before, so a chain of
jobs ends in the very weights of one run over all files.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Any

from forgetless.errors import DataError, ForgetlessError
from forgetless.hosted.chat_format import FEWEST_ROWS, check_line
from forgetless.plan import make_plan
from forgetless.progress import Progress
from forgetless.serving.config import ServerConfig
from forgetless.serving.jobs import FineTuneJob
from forgetless.serving.making import training_of

Told = connection.Connection


def plan_of(
    job: FineTuneJob, chain: Sequence[FineTuneJob], files: Mapping[str, Path], config: ServerConfig
) -> dict[str, Any]:
    """The plan of a job, but for where its output goes.

    Args:
        job: The job.
        chain: The jobs that it builds on, oldest first, and itself.
        files: Content of each file, by its id.
        config: The server's settings.
    """
    sequence = []
    for one in chain:
        task: dict[str, Any] = {"name": one.task, "train": str(files[one.training_file])}
        if one.validation_file is not None:
            task["test"] = str(files[one.validation_file])
        sequence.append(task | {"hold_out": config.hold_out})
    return {
        "model": config.model,
        "sequence": sequence,
        "methods": [spec.model_dump(mode="json") for spec in config.methods],
        "training": training_of(job, config).model_dump(mode="json"),
    }


def check_file(file: Path, fewest: int) -> None:
    """Check a file against the rules of the chat format.

    Raises:
        DataError: naming the line, or if it has fewer rows than it must.
    """
    rows = 0
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    try:
                        check_line(line)
                    except DataError as error:
                        raise DataError(f"line {number}: {error.message}") from None
                    rows += 1
    except UnicodeDecodeError:
        raise DataError("the file is not UTF-8 text") from None
    if rows < fewest:
        raise DataError(f"the file has {rows} rows, needed at least {fewest}")


def carry_out(
    plan: Mapping[str, Any], output: Path, before: Path | None, files: Sequence[Path], told: Told
) -> None:
    """Carry a job out, in a process of its own that ends with the server.

    What happens is sent through ``told``: ("note", text), ("step", step, steps, loss), and at the
    end ("done", tokens) or ("failed", code, message).

    Args:
        plan: The plan, but for its output.
        output: Folder of the run.
        before: Folder of the run of the job before.
        files: The job's own training file, and its validation file if it has one; both are checked.
        told: Where it is told.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this
    threading.Thread(target=_end_with_server, daemon=True).start()
    _without_bars()
    try:
        for file, fewest in zip(files, (FEWEST_ROWS, 1), strict=False):
            check_file(file, fewest)
        told.send(("running",))
        told.send(_carried_out(plan, output, before, told))
    except DataError as error:
        told.send(("failed", "invalid_training_file", error.message))
    except ForgetlessError as error:
        told.send(("failed", "training_failed", error.message))
    except Exception as error:  # whatever it is, the server must know
        told.send(("failed", "server_error", f"{type(error).__name__}: {error}"))
    finally:
        told.close()


def _carried_out(
    plan: Mapping[str, Any], output: Path, before: Path | None, told: Told
) -> tuple[str, int]:
    from forgetless.sequence import run_sequence

    made = make_plan({**plan, "output": str(output)}, "job")
    shared = [] if before is None else [before]
    result = run_sequence(made, _Told(told), shared)
    last = result.results.stages[-1]
    scores = result.matrix.values
    for place, task in enumerate(result.matrix.tasks):
        start, end = scores[-2][place], scores[-1][place]
        told.send(("note", f"{task.name}: {_shown(start)} before this job, {_shown(end)} after it"))
    tokens = last.training.tokens if last.training is not None else None
    return "done", int(tokens or 0)


def _shown(score: float | None) -> str:
    return "not measured" if score is None else f"{score:.3f}"


class _Told(Progress):
    """Sends what happens to the server."""

    def __init__(self, told: Told) -> None:
        self._told = told

    def note(self, text: str) -> None:
        """Something the user should read."""
        self._told.send(("note", text))

    def trained(self, step: int, steps: int, loss: float) -> None:
        """An optimiser step was taken."""
        self._told.send(("step", step, steps, loss))


def _without_bars() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()


def _end_with_server() -> None:
    """A job whose server is gone stops; the server's next start goes on with it."""
    server = parent_process()
    if server is not None:
        connection.wait([server.sentinel])
        os._exit(1)
