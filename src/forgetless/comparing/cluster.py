"""Runs on a Ray cluster: started on many machines with ``ray start``, or here for the occasion."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Self, TypeVar

from forgetless.comparing.pool import begin, environment
from forgetless.errors import UsageError

if TYPE_CHECKING:
    from types import TracebackType

T = TypeVar("T")

RETRIES = 3  # of a call whose process, or machine, is lost


class RayCluster:
    """Processes of a Ray cluster.

    It is the one at ``$RAY_ADDRESS``, else the one that runs on this machine, else one that is
    started on this machine and stopped afterwards.  Every machine must see the folder of all runs.
    As many calls are made at a time as its CPUs, and its GPUs where it has any, take.  A call whose
    process is lost is made again.

    Args:
        threads: CPUs of each call.
        fresh: A new process for every call.

    Raises:
        UsageError: without the package ray, or if the cluster cannot be reached or has too few
            CPUs for a call.
    """

    def __init__(self, *, threads: int, fresh: bool) -> None:
        try:
            import ray
        except ModuleNotFoundError:
            raise UsageError(
                "--on ray needs the package ray, which is not installed",
                fix="pip install 'forgetless[ray]', or leave --on out",
            ) from None
        try:
            ray.init(
                runtime_env={"env_vars": dict(environment(threads))},
                log_to_driver=False,
                logging_level="error",
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise UsageError(
                f"the Ray cluster cannot be reached: {str(error).strip().splitlines()[0]}",
                fix="ray start --head, or set RAY_ADDRESS to one that runs",
            ) from error
        resources = ray.cluster_resources()
        if resources.get("CPU", 0) < threads:
            ray.shutdown()
            raise UsageError(
                f"--threads {threads}: the Ray cluster has {resources.get('CPU', 0):g} CPUs",
                fix="lower --threads, or add machines:  ray start --address=...",
            )
        faults = ray.exceptions
        self.lost: tuple[type[Exception], ...] = (
            faults.WorkerCrashedError,
            faults.NodeDiedError,
            faults.LocalRayletDiedError,
            faults.OutOfMemoryError,
        )
        self.fresh = fresh
        self._ray = ray
        self._threads = threads
        self._options = {
            "num_cpus": threads,
            "num_gpus": 1 if resources.get("GPU") else 0,
            "max_retries": RETRIES,
            "max_calls": 1 if fresh else 0,
        }

    def submit(self, function: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Have a function called in one of the processes."""
        called = self._ray.remote(**self._options)(_call)
        future: Future[T] = called.remote(self._threads, function, *arguments).future()
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ray.shutdown()


def _call(threads: int, function: Callable[..., T], *arguments: Any) -> T:
    begin(threads)
    return function(*arguments)
