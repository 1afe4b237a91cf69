"""Processes of our own in which runs are carried out."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from forgetless.comparing.runs import Job, Measured, device, execute, finished

if TYPE_CHECKING:
    from types import TracebackType


class Workers:
    """Processes that carry runs out.

    Args:
        root: Folder of all runs.
        jobs: Runs at a time.
        threads: Threads of each.
        fresh: A new process for every run.
    """

    def __init__(self, root: Path, *, jobs: int, threads: int, fresh: bool) -> None:
        self._root = root
        self._fresh = fresh
        self._others = multiprocessing.active_children()
        # Read by the children before they load torch.
        os.environ["OMP_NUM_THREADS"] = str(threads)
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        os.environ.setdefault("HF_DATASETS_CACHE", str(root / "datasets"))
        self._pool = ProcessPoolExecutor(
            jobs,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(threads,),
            max_tasks_per_child=1 if fresh else None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:  # a stop must not wait for runs under way; they leave what they can
            for worker in multiprocessing.active_children():
                if worker not in self._others:
                    worker.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def call(self, function: Callable[[int], Any], numbers: Sequence[int]) -> dict[int, Any]:
        """A function's values, each found in a process of ours."""
        futures = {number: self._pool.submit(function, number) for number in numbers}
        return {number: future.result() for number, future in futures.items()}

    def device(self) -> str:
        """Where they compute."""
        return self._pool.submit(device).result()

    def run(
        self, jobs: Sequence[Job], told: Callable[[Job, Measured], None]
    ) -> dict[str, Measured]:
        """What each job came to, by name; it is read from disk.

        Args:
            jobs: Independent of one another.
            told: Called as each is finished.
        """
        found = {}
        for job in jobs:
            if (before := finished(job, self._root)) is not None:
                found[job.name] = before
                told(job, before)
        futures: dict[Future[None], Job] = {
            self._pool.submit(execute, job, self._root, fresh=self._fresh): job
            for job in jobs
            if job.name not in found
        }
        for future in as_completed(futures):
            job = futures[future]
            future.result()
            measured = finished(job, self._root)
            assert measured is not None
            found[job.name] = measured
            told(job, measured)
        return found


def _start(threads: int) -> None:
    """Load what every run needs, so that no run pays for it."""
    import logging

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches us all; the one above decides
    threading.Thread(target=_end_with_parent, daemon=True).start()

    import peft  # noqa: F401
    import torch
    from transformers.utils import logging as transformers_logging

    import forgetless.evaluation.store
    import forgetless.models.load
    import forgetless.training.stage
    import forgetless.training.trainer  # noqa: F401

    logging.getLogger().setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(threads)
    # accelerate looks through all objects of all libraries for garbage after every training
    gc.collect()
    gc.freeze()


def _end_with_parent() -> None:
    """End this process once the one that started it is gone, lest two write to one folder."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
