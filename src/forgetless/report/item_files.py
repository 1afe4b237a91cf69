"""Read the files of one stage: its scored items and its free answers, one JSON object a line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from forgetless.errors import RunFolderError
from forgetless.metrics import Unit
from forgetless.report.data import FreeAnswer, ItemScore
from forgetless.report.record import Record

AGAIN = "continue the run: the same `forgetless run` command repeats only what is not finished"
MEND = "the file was changed by hand or by another version; restore it, or run again"


def read_scores(path: Path, sha256: str | None, units: Mapping[str, Unit]) -> Iterator[ItemScore]:
    """Read the items of a finished stage.

    Args:
        path: ``scores.jsonl``.
        sha256: Of its content, where the manifest says it.
        units: Unit of each task of the run.

    Yields:
        One item per line.

    Raises:
        RunFolderError: naming the file and the line, if it is missing, changed, torn or malformed,
            or if an item is there twice.
    """
    seen: dict[tuple[str, str], int] = {}
    for number, line in _lines(path, sha256):
        row = _item(line)
        if row.task not in units:
            raise RunFolderError(
                f"{line.where}: task '{row.task}' is not in the manifest", fix=MEND
            )
        first = seen.setdefault((row.task, row.item), number)
        if first != number:
            raise RunFolderError(
                f"{line.where}: item '{row.item}' of task '{row.task}' is here a second time, "
                f"first in line {first}",
                fix=MEND,
            )
        if units[row.task] == "accuracy" and row.score is not None and not 0 <= row.score <= 1:
            raise RunFolderError(
                f"{line.where}: 'score' is {row.score:g}, needed 0 to 1 for an accuracy", fix=MEND
            )
        yield row


def _item(line: Record) -> ItemScore:
    row = ItemScore(
        task=line.text("task"),
        item=line.text("item"),
        prompt=line.text("prompt"),
        gold=line.text("gold"),
        choices=line.texts("choices") or None,
        output=line.optional_text("output"),
        answer=line.optional_text("answer"),
        score=line.optional_number("score"),
        correct=line.optional_flag("correct"),
        readings=line.numbers("readings"),
        error=line.optional_text("error"),
        group=line.optional_text("group") or "",
    )
    if row.score is None and row.error is None:
        raise RunFolderError(f"{line.where}: found neither 'score' nor 'error'", fix=line.fix)
    if row.score is not None and row.error is not None:
        raise RunFolderError(
            f"{line.where}: found both 'score' and 'error'; a crash is never a score", fix=line.fix
        )
    return row


def read_answers(path: Path, sha256: str | None) -> Iterator[FreeAnswer]:
    """Read the free answers of a finished stage; none if none were asked.

    Args:
        path: ``answers.jsonl``.
        sha256: Of its content, where the manifest says it.

    Raises:
        RunFolderError: naming the file and the line, if it is missing, changed, torn or
            malformed.
    """
    if sha256 is not None or path.is_file():
        for _, line in _lines(path, sha256):
            yield FreeAnswer(line.text("question"), line.text("answer"))


def _lines(path: Path, sha256: str | None) -> Iterator[tuple[int, Record]]:
    """Each line as a record; a last line without its end was cut off while being written."""
    if not path.is_file():
        raise RunFolderError(f"{path}: missing, though its stage is marked done", fix=AGAIN)
    lines = read_text(path, sha256).split("\n")
    if lines[-1]:
        raise RunFolderError(
            f"{path}:{len(lines)}: the last line is torn (it has no line end)", fix=AGAIN
        )
    for number, text in enumerate(lines[:-1], start=1):
        yield number, Record.parse(text, f"{path}:{number}", fix=MEND)


def read_text(path: Path, sha256: str | None = None) -> str:
    """Read a text file.

    Args:
        path: The file.
        sha256: Of its content when it was written, where that is on record.

    Raises:
        RunFolderError: if it cannot be read, was changed, or is not UTF-8 from a line on.
    """
    try:
        content = path.read_bytes()
        if sha256 not in (None, hashlib.sha256(content).hexdigest()):
            raise RunFolderError(f"{path}: damaged, or changed since it was written", fix=AGAIN)
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise RunFolderError(f"{path}:{line}: not UTF-8 text", fix=MEND) from None
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read ({error.strerror})") from None
