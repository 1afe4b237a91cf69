"""Where runs are carried out: processes of this machine, or a cluster with the same few calls."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from types import TracebackType

T = TypeVar("T")


class Pool(Protocol):
    """Processes that take work.

    Attributes:
        fresh: Whether every call has a new process.
        lost: What a future raises if the process that worked on it was killed, for good.
    """

    fresh: bool
    lost: tuple[type[Exception], ...]

    def submit(self, function: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Have a function called in one of them."""

    def __enter__(self) -> Self:
        """Ready to take work."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Drop what has not begun, and let the processes go."""


class LocalProcesses:
    """Processes of this machine.

    Args:
        jobs: Calls at a time.
        threads: Threads of each.
        fresh: A new process for every call.
    """

    lost: tuple[type[Exception], ...] = (BrokenProcessPool,)

    def __init__(self, *, jobs: int, threads: int, fresh: bool) -> None:
        ours = environment(threads)
        self._environment = {name: os.environ.get(name) for name in ours}
        os.environ.update(ours)  # read by the children before they load torch
        self.fresh = fresh
        self._others = multiprocessing.active_children()
        self._pool = ProcessPoolExecutor(
            jobs,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin_as_child,
            initargs=(threads,),
            max_tasks_per_child=1 if fresh else None,
        )

    def submit(self, function: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Have a function called in one of the processes."""
        return self._pool.submit(function, *arguments)

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
        for name, before in self._environment.items():
            del os.environ[name]
            if before is not None:
                os.environ[name] = before


def environment(threads: int) -> Mapping[str, str]:
    """Variables that libraries read as they are loaded."""
    return {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}


def begin(threads: int) -> None:
    """Load what every run needs, so that no run pays for it; call it once in each process."""
    import logging

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


def _begin_as_child(threads: int) -> None:
    """Begin in a process whose parent decides when it ends."""
    from tqdm import tqdm

    # its own is a semaphore of the system, left behind by a process that is terminated
    tqdm.set_lock(threading.RLock())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches us all; the one above decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    begin(threads)


def _end_with_parent() -> None:
    """End this process once the one that started it is gone, lest two write to one folder."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
