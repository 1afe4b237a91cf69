"""Records on disk: a folder for each, with ``record.json`` in it."""

from __future__ import annotations

import json
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from forgetless.errors import RunFolderError
from forgetless.serving.faults import ApiError, no_such
from forgetless.storage import write_json

R = TypeVar("R")

ID_DIGITS = 24  # hexadecimal


class Records(Generic[R]):
    """Records of one kind, in memory and on disk; for several threads.

    Args:
        folder: Holds a folder for each.
        what: What they are called in messages.
        prefix: How their ids begin.
        read: Makes one of what is on disk.
        written: Makes plain data of one.
    """

    def __init__(
        self,
        folder: Path,
        what: str,
        prefix: str,
        read: Callable[[Mapping[str, Any]], R],
        written: Callable[[R], Mapping[str, Any]],
    ) -> None:
        self._folder = folder
        self._what = what
        self._prefix = prefix
        self._written = written
        self._lock = threading.Lock()
        self._records: dict[str, R] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob(f"{prefix}{'[0-9a-f]' * ID_DIGITS}"):
            if not (path / "record.json").exists():  # a kill came before it or while it was deleted
                shutil.rmtree(path, ignore_errors=True)
        found: list[tuple[float, str, R]] = []
        for path in folder.glob("*/record.json"):
            try:
                values = json.loads(path.read_text(encoding="utf-8"))
                found.append((float(values["created_at"]), path.parent.name, read(values)))
            except (ValueError, KeyError, TypeError):
                raise RunFolderError(f"{path}: damaged", fix=f"delete {path.parent}") from None
        for _, name, record in sorted(found, key=lambda entry: entry[:2]):
            self._records[name] = record

    def new_id(self) -> str:
        """An id that no other has and that sorts behind older ones, and a folder for it."""
        now = f"{time.time_ns():016x}"
        name = f"{self._prefix}{now}{uuid.uuid4().hex[: ID_DIGITS - len(now)]}"
        self.path(name).mkdir()
        return name

    def path(self, name: str) -> Path:
        """The folder of a record."""
        return self._folder / name

    def put(self, name: str, record: R) -> None:
        """Keep a record, new or changed."""
        with self._lock:
            write_json(self.path(name) / "record.json", dict(self._written(record)))
            self._records[name] = record

    def get(self, name: str) -> R:
        """A record.

        Raises:
            ApiError: if there is none of this id.
        """
        if name not in self._records:
            raise no_such(self._what, name)
        return self._records[name]

    def all(self) -> list[R]:
        """All records, oldest first."""
        with self._lock:
            return list(self._records.values())

    def delete(self, name: str) -> None:
        """Forget a record, and remove its folder."""
        with self._lock:
            self._records.pop(name, None)
            (self.path(name) / "record.json").unlink(missing_ok=True)
        shutil.rmtree(self.path(name), ignore_errors=True)


def page(entries: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """A page of entries, newest first, as ``limit`` and ``after`` ask for it.

    Raises:
        ApiError: for a limit or an id that cannot be used.
    """
    newest = entries[::-1]
    text = query.get("limit", "20")
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise ApiError(400, f"limit is {text[:20]!r}, needed a whole number above 0", param="limit")
    start = 0
    if after := query.get("after"):
        ids = [entry["id"] for entry in newest]
        if after not in ids:
            raise ApiError(400, f"after: there is no {after!r}", param="after")
        start = ids.index(after) + 1
    shown = newest[start : start + int(text)]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": start + len(shown) < len(newest),
    }
