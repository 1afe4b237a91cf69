"""Runs carried out in processes of their own, wherever these are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import Any, TypeVar

from forgetless.comparing.pool import Pool
from forgetless.comparing.runs import Job, Measured, execute, finished
from forgetless.errors import RunFailed

T = TypeVar("T")


class Workers:
    """Carries runs out in the processes of a pool.

    Args:
        pool: Where.
        root: Folder of all runs.
    """

    def __init__(self, pool: Pool, root: Path) -> None:
        self._pool = pool
        self._root = root

    def call(self, function: Callable[[int], Any], numbers: Sequence[int]) -> dict[int, Any]:
        """A function's values, each found in a process of ours."""
        futures = {number: self._pool.submit(function, number) for number in numbers}
        return {number: self._result(future) for number, future in futures.items()}

    def run(
        self, jobs: Sequence[Job], told: Callable[[Job, Measured, bool], None]
    ) -> dict[str, Measured]:
        """What each job came to, by name; it is read from disk.

        What failed when it was run before is tried again.

        Args:
            jobs: Independent of one another.
            told: Called as each is finished, and with whether that was before this call.

        Raises:
            RunFailed: if a process was killed, and no other could take its place.
        """
        found = {}
        for job in jobs:
            before = finished(job, self._root)
            if before is not None and before.failed is None:
                found[job.name] = before
                told(job, before, True)
        futures: dict[Future[None], Job] = {
            self._pool.submit(execute, job, self._root, self._pool.fresh): job
            for job in jobs
            if job.name not in found
        }
        for future in as_completed(futures):
            job = futures[future]
            self._result(future)
            measured = finished(job, self._root)
            assert measured is not None
            found[job.name] = measured
            told(job, measured, False)
        return found

    def _result(self, future: Future[T]) -> T:
        try:
            return future.result()
        except self._pool.lost as error:
            raise RunFailed(
                "a process that carried out a run was killed, perhaps for want of memory; what "
                "was finished is kept",
                fix="run the same command again, with fewer --jobs where memory is short",
            ) from error
