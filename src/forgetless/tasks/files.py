"""Files of records: JSONL, JSON, CSV and Parquet, each record with the place where it stands.

``datasets`` keeps the records in its cache, memory-mapped, under the hash of what the files
contain, so that an edited file is read anew even if its date has not changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from forgetless.errors import DataError
from forgetless.plan import DATA_SUFFIXES, meant, near_path
from forgetless.tasks.parsing import from_json, scan, to_json

_VERSION = 2  # of what is kept in the cache
MOST_FILES = 100_000  # looked at in a folder of data


class Records:
    """Records of a typed table: a Parquet file or a hub dataset.

    Args:
        table: A ``datasets.Dataset``.
        source: Its name, for messages.
    """

    def __init__(self, table: Any, source: str) -> None:
        self._table = table
        self._source = source

    @property
    def columns(self) -> set[str]:
        """Names of the fields that any record has."""
        return set(self._table.column_names)

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        record: dict[str, Any] = self._table[index]
        return record

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        yield from self._table

    def place(self, index: int) -> str:
        """Where a record stands: file and line, or source and row."""
        return f"{self._source}:row {index + 1}"


class TextRecords(Records):
    """Records of text files, kept as JSON beside the place where each stands."""

    def __init__(self, table: Any, source: str, columns: set[str]) -> None:
        super().__init__(table, source)
        self._columns = columns
        # straight from Arrow: a tenth of the time of reading a row of the table
        self._records, self._places = table.data.column("record"), table.data.column("place")

    @property
    def columns(self) -> set[str]:
        """Names of the fields that any record has."""
        return self._columns

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        record: dict[str, Any] = from_json(self._records[index].as_py())
        return record

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for chunk in self._records.chunks:
            yield from map(from_json, chunk.to_pylist())

    def place(self, index: int) -> str:
        """File and line, or file and row."""
        return str(self._places[index])


def read_files(source: str) -> Records:
    """Open a file, or all files of a folder.

    Raises:
        DataError: naming file and line, if it is missing, empty or malformed.
    """
    files = _find(Path(source))
    try:
        digest = _digest(files)
        if files[0].suffix.lower() == ".parquet":
            return Records(_parquet(files, source, digest), source)
        columns: set[str] = set()
        for _, record in scan(files):
            columns |= record.keys()
    except OSError as error:
        raise DataError(f"{error.filename or source}: cannot be read: {error.strerror}") from None
    if not columns:
        raise DataError(f"{source}: no rows, needed at least one")
    return TextRecords(_keep(files, source, digest), source, columns)


def _find(path: Path) -> list[Path]:
    """The files that a source names, all of one kind and none of them empty."""
    try:
        if path.is_dir():
            files = _find_inside(path)
        elif path.is_file():
            files = [path]
        elif path.exists():  # a pipe would be waited for without end
            raise DataError(f"{path}: a pipe or a device, needed a file or a folder")
        else:
            hub = len(path.parts) == 2 and not path.suffix and not path.is_absolute()
            hint = f"check the path; a dataset of the hub is named  hub:{path.as_posix()}"
            raise DataError(
                f"{path}: no such file", fix=hint if hub and not near_path(path) else meant(path)
            )
        suffixes = {file.suffix.lower() for file in files}
        if len(suffixes) > 1 or not suffixes <= set(DATA_SUFFIXES):
            raise DataError(
                f"{path}: found {', '.join(sorted(suffixes)) if any(suffixes) else 'no ending'}; "
                f"needed files of one kind out of {', '.join(DATA_SUFFIXES)}"
            )
        for file in files:
            if file.stat().st_size == 0:
                raise DataError(f"{file}: the file is empty, needed at least one row")
    except OSError as error:
        raise DataError(f"{str(path)[:200]}: cannot be read: {error.strerror}") from None
    return files


def _find_inside(folder: Path) -> list[Path]:
    """All data files of a folder and of those below it, hidden ones left out."""
    files = []
    for number, file in enumerate(folder.rglob("*")):
        if number == MOST_FILES:
            raise DataError(
                f"{folder}: the folder holds more than {MOST_FILES:,} files",
                fix="name the folder, or the file, that holds the rows alone",
            )
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if file.suffix.lower() in DATA_SUFFIXES and not hidden and file.is_file():
            files.append(file)
    if not files:
        raise DataError(f"{folder}: the folder has no {', '.join(DATA_SUFFIXES)} file")
    return sorted(files)


def _digest(files: Sequence[Path]) -> str:
    """Hash of names and contents: what the cached records depend on."""
    digest = hashlib.sha256(f"{_VERSION}".encode())
    for file in files:
        with file.open("rb") as opened:
            content = hashlib.file_digest(opened, "sha256").hexdigest()
        digest.update(f"\n{file}\n{content}".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _keep(files: Sequence[Path], source: str, digest: str) -> Any:
    """The records of text files in the cache of ``datasets``."""
    import datasets

    text = datasets.Value("string")
    try:
        with quiet_datasets():
            return datasets.Dataset.from_generator(
                _storable,
                features=datasets.Features({"place": text, "record": text}),
                gen_kwargs={"files": tuple(files)},
                fingerprint=digest,
            )
    except Exception as error:
        raise _not_kept(source, error) from error


def _storable(files: Sequence[Path]) -> Iterator[dict[str, str]]:
    for place, record in scan(files):
        shown = place.encode("utf-8", "backslashreplace").decode()  # a file's name may be no text
        yield {"place": shown, "record": to_json(record)}


def _parquet(files: Sequence[Path], source: str, digest: str) -> Any:
    import datasets
    import pyarrow.parquet

    names = [str(file) for file in files]
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "forgetless" / digest
    try:
        if not sum(pyarrow.parquet.read_metadata(name).num_rows for name in names):
            raise DataError(f"{source}: no rows, needed at least one")
        with quiet_datasets():
            return datasets.load_dataset(
                "parquet", data_files=names, split="train", cache_dir=str(folder)
            )
    except DataError:
        raise
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, OSError) and cause.errno is not None:  # not one of pyarrow's
            raise _not_kept(source, error) from error
        raise DataError(
            f"{source}: cannot be read: {first_line(cause)}",
            fix="check that it is a whole Parquet file",
        ) from error


def _not_kept(source: str, error: Exception) -> DataError:
    import datasets

    cause = error.__cause__ or error
    return DataError(
        f"{source}: cannot be kept in {datasets.config.HF_DATASETS_CACHE}: {first_line(cause)}",
        fix="set HF_DATASETS_CACHE to a folder with room that can be written",
    )


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """Keep the bars and the notices of ``datasets`` off the user's terminal."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    level = datasets.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if shown:
            datasets.enable_progress_bars()


def first_line(error: BaseException) -> str:
    """The first line of an error of another library."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
