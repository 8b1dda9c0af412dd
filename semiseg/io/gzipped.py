"""Bytes of files that may be gzip streams, read to the end, so that every checksum is verified."""

import gzip
import zlib
from pathlib import Path

from semiseg.errors import DataError, Problem

_MAGIC = b"\x1f\x8b"
_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error)


def read_bytes(path: Path) -> bytes:
    """The file's content, decompressed where it is a gzip stream, whatever the name says.

    A gzip stream ends with the CRC and the length of its content (RFC 1952); both are verified here. Raises DataError
    for a file that is missing, unreadable, empty, truncated or damaged.
    """
    try:
        data = path.read_bytes()
        if data.startswith(_MAGIC):
            data = gzip.decompress(data)
    except (OSError, *_BROKEN) as error:
        raise _refusal(path, error) from error
    return _not_empty(path, data)


def read_head(path: Path, size: int) -> bytes:
    """The first ``size`` bytes of what ``read_bytes`` gives, without reading the rest: no checksum is verified."""
    try:
        with path.open("rb") as file:
            compressed = file.read(len(_MAGIC)) == _MAGIC
            file.seek(0)
            if compressed:
                with gzip.open(file) as stream:
                    return _not_empty(path, stream.read(size))
            return _not_empty(path, file.read(size))
    except (OSError, *_BROKEN) as error:
        raise _refusal(path, error) from error


def _not_empty(path: Path, data: bytes) -> bytes:
    if not data:
        raise DataError(Problem(str(path), "the file is empty", "Download or copy it again."))
    return data


def _refusal(path: Path, error: Exception) -> DataError:
    if isinstance(error, EOFError):
        what, fix = "the file is truncated: its gzip stream has no end", "Download or copy it again."
    elif isinstance(error, _BROKEN):
        what, fix = f"the file is damaged: {_plain(error)}", "Download or copy it again."
    elif isinstance(error, FileNotFoundError):
        what, fix = "there is no such file", "Check the path."
    else:
        what, fix = (
            f"the file cannot be read: {getattr(error, 'strerror', None) or error}",
            "Check its permissions and the disk.",
        )
    return DataError(Problem(str(path), what, fix))


def _plain(error: Exception) -> str:
    return str(error).rstrip(".").replace("Error -3 while decompressing data: ", "")
