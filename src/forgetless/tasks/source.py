"""Where rows come from: a file, a folder, a hub dataset or a bundled task.

Records stay memory-mapped in the cache of ``datasets``; a :class:`Rows` holds no row in memory but
makes each when asked.  A malformed record is reported with its file and line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from forgetless.errors import DataError
from forgetless.plan import BUNDLED, HUB, HUB_NAME, hub_dataset
from forgetless.tasks.bundled import bundled_rows
from forgetless.tasks.files import Records, first_line, quiet_datasets, read_files
from forgetless.tasks.formats import FIELDS, NEEDED, Format, MalformedRow, detect_format, read_row
from forgetless.tasks.row import Row


class Rows(Sequence[Row]):
    """Rows of a data source, made on demand from memory-mapped records.

    Args:
        records: What the source holds.
        shape: The format of every record.
        fields: Our field name to the source's.
    """

    def __init__(
        self, records: Records, shape: Format, fields: Mapping[str, str] | None = None
    ) -> None:
        self._records = records
        self._shape = shape
        self._fields = dict(fields or {})
        self._renamed = set(self._fields.values())

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
        index %= len(self)
        return self._read(self._records[index], index)

    def __iter__(self) -> Iterator[Row]:
        for index, record in enumerate(self._records):
            yield self._read(record, index)

    def _read(self, record: Mapping[str, Any], index: int) -> Row:
        ours = {name: value for name, value in record.items() if name not in self._renamed}
        ours |= {name: record.get(theirs) for name, theirs in self._fields.items()}
        try:
            return read_row(ours, self._shape, index)
        except MalformedRow as fault:
            raise DataError(
                f"{self._records.place(index)}: {fault}", fix="mend or delete that row"
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
        source: A file, a folder of files, ``hub:NAME``, ``hub:NAME@REVISION`` or
            ``bundled:NAME``.
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
    records = _open(source, split)
    if len(records) == 0:
        raise DataError(f"{source}: no rows, needed at least one")
    columns = records.columns
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
            fix="say which is which:  --fields prompt=your_column,completion=another  (in a plan:  "
            "fields: {prompt: your_column, completion: another})",
        )
    return Rows(records, shape, fields)


def needed_fields(source: str, fields: Mapping[str, str], split: str) -> Mapping[str, str]:
    """Of names meant for several sources those of one: none if it lacks them and does without.

    Args:
        source: As in :func:`read_source`.
        fields: Our field name to a source's.
        split: As in :func:`read_source`.

    Raises:
        DataError: if the source is missing or cannot be read.
    """
    if not fields or source.startswith(BUNDLED):
        return {}
    columns = _open(source, split).columns
    does_without = detect_format(columns) is not None and not columns.issuperset(fields.values())
    return {} if does_without else fields


def _open(source: str, split: str) -> Records:
    return _load_hub(source, split) if source.startswith(HUB) else read_files(source)


def _load_hub(source: str, split: str) -> Records:
    import datasets

    name, revision = hub_dataset(source)
    if not HUB_NAME.fullmatch(name):  # datasets would take it for a path
        raise DataError(f"{source}: no name of a hub dataset, needed  hub:NAME  or  hub:OWNER/NAME")
    which = {"revision": revision} if revision else {}
    try:
        with quiet_datasets():
            return Records(datasets.load_dataset(name, split=split, **which), source)
    except Exception as error:
        raise DataError(
            f"hub dataset {name!r}, split {split!r}, cannot be loaded: {first_line(error)}",
            fix="check the name, the split and the network; if you mean a file, check its path",
        ) from error
