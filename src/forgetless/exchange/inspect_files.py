"""The files of inspect_ai: ``.eval`` archives, plain or compressed with zstandard, and ``.json``.

The zip archives of Python 3.11 do not know zstandard; pyarrow, which is always there with
``datasets``, does.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from forgetless.errors import DataError
from forgetless.exchange.json_files import AGAIN, parse_object, part, read_object

_ZSTANDARD = 93
_LOCAL_HEADER = struct.Struct("<26xHH")  # of a member: the lengths of its name and extra field


def log_files(path: Path) -> list[Path]:
    """A log, or all logs of a folder."""
    if path.is_file():
        return [path]
    logs = [file for file in path.glob("*.json") if file.is_file() and looks_like_a_log(file)]
    return sorted([*path.glob("*.eval"), *logs])


def looks_like_a_log(file: Path) -> bool:
    """Whether a JSON file begins as inspect's logs do; whole logs may be large."""
    with file.open("rb") as opened:
        start = opened.read(4096)
    return b'"version"' in start and b'"eval"' in start and b'"status"' in start


def read_header(file: Path) -> Mapping[str, Any]:
    """All that a log says but its samples; of a ``.json`` log the whole.

    Raises:
        DataError: naming the file that cannot be read.
    """
    if file.suffix != ".eval":
        return read_object(file)
    with _archive(file) as archive:
        if "header.json" not in archive.namelist():  # it is written when the run ends
            start = _member(archive, file, "_journal/start.json")
            return {**start, "status": "started"}
        return _member(archive, file, "header.json")


def read_samples(file: Path, header: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every sample after the place where it stands.

    Raises:
        DataError: naming the file and the sample that cannot be read.
    """
    if file.suffix != ".eval":
        if header.get("samples") is None:  # as  --no-log-samples  leaves it
            return
        for number, one in enumerate(part(header, "samples", list, str(file)), start=1):
            place = f"{file}: sample {number}"
            if not isinstance(one, dict):
                raise DataError(f"{place}: found {type(one).__name__}, needed an object", fix=AGAIN)
            yield place, one
        return
    with _archive(file) as archive:
        for name in archive.namelist():
            if name.startswith("samples/") and name.endswith(".json"):
                yield f"{file}: {name}", _member(archive, file, name)


def _archive(file: Path) -> zipfile.ZipFile:
    if not file.is_file():  # a pipe or a device would be read without end
        raise DataError(f"{file}: not a file, needed a log of inspect", fix=AGAIN)
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{file}: cannot be read as a zip archive: {error}", fix=AGAIN) from None


def _member(archive: zipfile.ZipFile, file: Path, name: str) -> Mapping[str, Any]:
    place = f"{file}: {name}"
    try:
        info = archive.getinfo(name)
        content = (
            _zstandard(archive, info) if info.compress_type == _ZSTANDARD else archive.read(info)
        )
    except (zipfile.BadZipFile, zlib.error, KeyError, OSError, EOFError, ValueError) as error:
        raise DataError(f"{place}: cannot be unpacked: {error}", fix=AGAIN) from None
    return parse_object(content, place)


def _zstandard(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """A member compressed with zstandard, checked as zipfile would.

    Raises:
        ValueError: if it is not what the archive's directory says.
    """
    import pyarrow

    stream = archive.fp
    assert stream is not None
    stream.seek(info.header_offset)
    header = stream.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size:
        raise ValueError("the file ends too early")
    name, extra = _LOCAL_HEADER.unpack(header)
    stream.seek(name + extra, 1)
    packed = stream.read(info.compress_size)
    with pyarrow.input_stream(pyarrow.BufferReader(packed), compression="zstd") as unpacked:
        content = bytes(unpacked.read())
    if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
        raise ValueError("its checksum is wrong")
    return content
