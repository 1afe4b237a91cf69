"""Answers kept between audits, by content: the same model asked the same is not asked again.

A key is a hash over the subject's identity and the request as it went out, so a checkpoint that was
overwritten in place, another template or another wording never finds an old answer.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from forgetless.errors import RunFailed
from forgetless.evaluation.result import ItemResult
from forgetless.storage import disk_faults_explained, make_folder

log = logging.getLogger(__name__)

SCORING = 5
"""Goes up when the same request would be scored otherwise, so that no older score is taken."""

_AT_ONCE = 500  # keys in one query; SQLite takes 999 at least
# A damaged file, one that is no database, and one whose table is another.
_NOT_OURS = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
_PATIENCE = 60  # seconds for another process to be done


def answer_key(identity: str, request: str) -> str:
    """Under which key an answer is kept."""
    return hashlib.sha256(f"{SCORING}\x00{identity}\x00{request}".encode()).hexdigest()


class AnswerStore:
    """Item results on disk, by key; several processes may use one file.

    Args:
        path: The SQLite file, made if need be; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._opened: sqlite3.Connection | None = None

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """The file, opened when it is first used: what is refused before leaves none behind."""
        assert self._path is not None
        try:
            with disk_faults_explained(self._path):
                if self._opened is None:
                    self._opened = _open(self._path)
                yield self._opened
        except sqlite3.DatabaseError as fault:
            raise RunFailed(
                f"{self._path}: answers cannot be read or kept there: {fault}",
                fix="end what else is using it, or leave it be with  --no-store",
            ) from fault

    def find(self, keys: Iterable[str]) -> dict[str, ItemResult]:
        """The answers that are there, by key.

        Raises:
            RunFailed: if the file is busy, or cannot be used; so does keeping.
        """
        if self._path is None:
            return {}
        wanted = list(keys)
        found: dict[str, ItemResult] = {}
        with self._database() as database:
            for start in range(0, len(wanted), _AT_ONCE):
                some = wanted[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = database.execute(
                    f"SELECT key, line FROM answers WHERE key IN ({marks})",  # noqa: S608 - marks
                    some,
                )
                found.update((key, result) for key, line in rows if (result := _result(line)))
        return found

    def keep(self, answers: Mapping[str, ItemResult]) -> None:
        """Write answers; errors are not kept, so that they are asked again."""
        if self._path is None:
            return
        lines = [
            (key, replace(result, task="", item="").to_line())
            for key, result in answers.items()
            if result.error is None
        ]
        with self._database() as database, database:
            database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", lines)

    def close(self, *, delete: bool = False) -> None:
        """Close the file.

        Args:
            delete: Remove it as well.
        """
        if self._opened is None or self._path is None:
            return
        self._opened.close()
        self._opened = None
        if delete:
            for end in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + end).unlink(missing_ok=True)


def _result(line: str) -> ItemResult | None:
    """A stored answer; None for one that was damaged, so that it is asked again."""
    try:
        return ItemResult.from_line(line)
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _open(path: Path) -> sqlite3.Connection:
    make_folder(path.parent)
    try:
        return _connect(path)
    except sqlite3.DatabaseError as fault:
        if fault.sqlite_errorcode & 0xFF not in _NOT_OURS:  # a busy file, say, is a good one
            raise
        aside = path.with_name(f"{path.name}.unreadable")
        log.warning("%s cannot be read (%s); begun anew, the old one is %s", path, fault, aside)
        path.replace(aside)
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=_PATIENCE)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        (state,) = database.execute("PRAGMA quick_check").fetchone()
        if state != "ok":
            damaged = sqlite3.DatabaseError(state)
            damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damaged
        database.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, line TEXT)")
        database.execute("SELECT key, line FROM answers LIMIT 0")
        database.commit()
    except sqlite3.DatabaseError:
        database.close()
        raise
    return database
