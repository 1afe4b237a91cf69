"""Where rows come from: a file, a folder, a hub dataset or a bundled task.

Files are read through ``datasets``, which keeps them memory-mapped; a :class:`Rows` holds no row
in memory but makes each when asked.  A malformed record is reported with its file and line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

from forgetless.errors import DataError
from forgetless.plan import BUNDLED, DATA_SUFFIXES, HUB
from forgetless.tasks.bundled import bundled_rows
from forgetless.tasks.formats import FIELDS, NEEDED, Format, MalformedRow, detect_format, read_row
from forgetless.tasks.row import Row

_LOADERS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}


class Rows(Sequence[Row]):
    """Rows of a data source, made on demand from memory-mapped records.

    Args:
        records: A ``datasets.Dataset``.
        shape: The format of every record.
        where: The source, for messages.
        fields: Our field name to the source's.
    """

    def __init__(
        self, records: Any, shape: Format, where: str, fields: Mapping[str, str] | None = None
    ) -> None:
        self._records = records
        self._shape = shape
        self._where = where
        self._fields = dict(fields or {})

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return Selected(self, range(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._read(self._records[index], index % len(self))

    def __iter__(self) -> Iterator[Row]:
        for index, record in enumerate(self._records):
            yield self._read(record, index)

    def _read(self, record: Mapping[str, Any], index: int) -> Row:
        ours = {**record, **{our: record.get(theirs) for our, theirs in self._fields.items()}}
        try:
            return read_row(ours, self._shape, index)
        except MalformedRow as fault:
            raise DataError(
                f"{self._where}:{_line(self._where, index)}: {fault}",
                fix="mend or delete that row",
            ) from None


class Selected(Sequence[Row]):
    """Some rows of a sequence, by index, without copying them."""

    def __init__(self, rows: Sequence[Row], indices: Sequence[int]) -> None:
        self._rows = rows
        self._indices = indices

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return Selected(self._rows, self._indices[index])
        return self._rows[self._indices[index]]


def read_source(source: str, *, fields: Mapping[str, str], split: str) -> Sequence[Row]:
    """Open a data source.

    Args:
        source: A file, a folder of files, ``hub:NAME`` or ``bundled:NAME``.
        fields: Our field name to the source's, for sources that use other names.
        split: Which split of a hub dataset or of a bundled task: train or test.

    Raises:
        DataError: if it is missing, unreadable, empty, or has none of the known shapes.
    """
    if source.startswith(BUNDLED):
        return bundled_rows(source.removeprefix(BUNDLED), split)
    unknown = sorted(set(fields) - set(FIELDS))
    if unknown:
        raise DataError(
            f"{source}: fields maps {unknown[0]!r}, which is not one of our field names",
            fix=f"write {{ours: theirs}}; ours are {', '.join(FIELDS)}",
        )
    records = _load_hub(source, split) if source.startswith(HUB) else _load_files(source)
    if len(records) == 0:
        raise DataError(f"{source}: no rows, needed at least one")
    columns = set(records.column_names)
    absent = sorted(set(fields.values()) - columns)
    if absent:
        raise DataError(
            f"{source}: fields names the column {absent[0]!r}, which is not there",
            fix=f"its columns are {', '.join(sorted(columns))}",
        )
    shape = detect_format((columns - set(fields.values())) | set(fields))
    if shape is None:
        raise DataError(
            f"{source}: found the columns {', '.join(sorted(columns))}; needed {NEEDED}",
            fix="map them in the plan, e.g.  fields: {prompt: your_column, completion: another}",
        )
    return Rows(records, shape, source, fields)


def _load_hub(source: str, split: str) -> Any:
    import datasets

    name = source.removeprefix(HUB)
    try:
        with _without_bars():
            return datasets.load_dataset(name, split=split)
    except Exception as error:
        raise DataError(
            f"hub dataset {name!r}, split {split!r}, cannot be loaded: {_first_line(error)}",
            fix="check the name, the split and the network",
        ) from error


def _load_files(source: str) -> Any:
    import datasets

    path = Path(source)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in DATA_SUFFIXES)
        if not files:
            raise DataError(f"{path}: the folder has no {', '.join(DATA_SUFFIXES)} file")
    elif path.is_file():
        files = [path]
    else:
        raise DataError(f"{path}: no such file", fix="check the path; it is relative to the plan")
    suffixes = {file.suffix.lower() for file in files}
    if len(suffixes) > 1 or not suffixes <= set(_LOADERS):
        raise DataError(
            f"{path}: found {', '.join(sorted(suffixes)) or 'a file without an ending'}; "
            f"needed files of one kind out of {', '.join(DATA_SUFFIXES)}"
        )
    for file in files:
        if file.stat().st_size == 0:
            raise DataError(f"{file}: the file is empty, needed at least one row")
        _check_text(file)
    names = [str(file) for file in files]
    try:
        with _without_bars():
            return datasets.load_dataset(_LOADERS[suffixes.pop()], data_files=names, split="train")
    except Exception as error:
        raise DataError(
            f"{path}: cannot be read: {_first_line(error.__cause__ or error)}"
        ) from error


@contextmanager
def _without_bars() -> Iterator[None]:
    """Keep the bars of ``datasets`` off the user's terminal."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def _check_text(file: Path) -> None:
    """Refuse what the readers of ``datasets`` would garble or explain badly."""
    if file.suffix == ".parquet":
        return
    line = 0
    try:
        with file.open(encoding="utf-8-sig", newline="\n") as lines:
            for line, text in enumerate(lines, start=1):
                if "\x00" in text:
                    raise DataError(f"{file}:{line}: a NUL byte; needed text")
                if file.suffix == ".jsonl" and text.strip():
                    record = json.loads(text)
                    if not isinstance(record, dict):
                        raise DataError(
                            f"{file}:{line}: found {type(record).__name__}, needed an object "
                            'such as {"prompt": "...", "completion": "..."}'
                        )
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}:{line + 1}: not UTF-8 text ({error.reason})", fix="save the file as UTF-8"
        ) from None
    except (json.JSONDecodeError, RecursionError) as error:
        message = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        raise DataError(
            f"{file}:{line}: not valid JSON: {message}", fix="mend or delete that line"
        ) from None


def _line(source: str, index: int) -> str:
    """Where the record of this index stands: a line for JSONL and CSV, else a row number."""
    path = Path(source)
    if path.suffix == ".jsonl" and path.is_file():
        with path.open(encoding="utf-8-sig") as lines:
            numbers = (number for number, text in enumerate(lines, start=1) if text.strip())
            for seen, number in enumerate(numbers):
                if seen == index:
                    return str(number)
    return f"row {index + 1}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
