"""Arrays that grow, and lie in a file once they are large."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

AT_MOST = 1 << 24
"""Bytes of an array that are held in memory while it grows."""


class Growing:
    """An array of one dimension that is written from its start to its end.

    Args:
        dtype: Of its entries.
        folder: Where what is too large for memory is kept, in a file without a name that is gone
            with the array; None: all stays in memory.
    """

    def __init__(self, dtype: Any, folder: Path | None) -> None:
        self._dtype = np.dtype(dtype)
        self._folder = folder
        self._held = bytearray()
        self._file: IO[bytes] | None = None

    def add(self, entries: Iterable[Any]) -> None:
        """Append entries."""
        self._held += np.asarray(entries, self._dtype).tobytes()
        if len(self._held) > AT_MOST and self._folder is not None:
            self._flush()

    def done(self) -> np.ndarray[Any, Any]:
        """The array; memory-mapped if it lies in a file."""
        if self._file is None:
            return np.frombuffer(self._held, self._dtype)
        self._flush()
        with self._file:  # the map holds what the file held
            return np.memmap(self._file, self._dtype, "r")

    def _flush(self) -> None:
        if self._file is None:
            self._file = TemporaryFile(dir=self._folder)  # noqa: SIM115 - open as long as mapped
        self._file.write(self._held)
        self._file.flush()
        self._held = bytearray()
