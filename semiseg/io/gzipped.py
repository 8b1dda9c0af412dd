"""Content of files that may be gzip streams; reading to the end verifies the checksum."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from semiseg.errors import DataError, Problem

MOST_EXPANSION = 1032
"""Maximum number of bytes that deflate (RFC 1951) can produce from one."""
_MAGIC = b"\x1f\x8b"
_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """Open the file's content as a stream, decompressed if it is a gzip stream, whatever its name.

    A gzip stream ends with the CRC and the length of its content (RFC 1952), both verified on reading to the end.
    Raises DataError, also within the block, for a file that is missing, unreadable, truncated or damaged.
    """
    try:
        with path.open("rb") as file:
            compressed = file.read(len(_MAGIC)) == _MAGIC
            file.seek(0)
            if compressed:
                with gzip.open(file) as stream:
                    yield stream
            else:
                yield file
    except (OSError, *_BROKEN) as error:
        raise _refusal(path, error) from error


def _refusal(path: Path, error: Exception) -> DataError:
    if isinstance(error, EOFError):
        what, fix = "the file is truncated: its gzip stream has no end", "Download or copy it again."
    elif isinstance(error, _BROKEN):
        what, fix = f"the file is damaged: {_plain(error)}", "Download or copy it again."
    elif isinstance(error, FileNotFoundError):
        what, fix = "file not found", "Check the path."
    else:
        what, fix = (
            f"the file cannot be read: {getattr(error, 'strerror', None) or error}",
            "Check its permissions and the disk.",
        )
    return DataError(Problem(str(path), what, fix))


def _plain(error: Exception) -> str:
    return str(error).rstrip(".").replace("Error -3 while decompressing data: ", "")
