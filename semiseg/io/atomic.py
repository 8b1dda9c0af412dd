"""Files that are either whole or not there: written beside the target, flushed to disk, then renamed."""

import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from semiseg.errors import StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ELSEWHERE = "Choose another --output."


def make_folder(path: Path) -> None:
    """Make a folder, with those above it, if it is not there. Raises StorageError where it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path} cannot be made: {error.strerror or error}.", _ELSEWHERE) from error


def require_file(path: Path) -> None:
    """Make the folder of a file and try to write there, before work whose result would be lost.

    Raises StorageError where ``atomic_file`` would; leaves no file.
    """
    make_folder(path.parent)
    if path.is_dir():
        raise _refusal(path, os.strerror(errno.EISDIR))
    trial = _beside(path)
    try:
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise _refusal(path, error.strerror or str(error)) from error


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A path to write to; it becomes ``path`` where the block ends without an error.

    The temporary file keeps the target's suffixes, since writers choose the format by them. Raises StorageError
    where the disk is full or refuses, or there can be no such file; what ``path`` was before is intact then.
    """
    make_folder(path.parent)
    temporary = _beside(path)
    written = 0
    try:
        yield temporary
        with temporary.open("rb+") as file:
            written = file.seek(0, os.SEEK_END)
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            written = max(written, temporary.stat().st_size)
            temporary.unlink()
        if _is_full(error):
            raise _storage_error(path, f"no room after {written:,} bytes") from error
        if isinstance(error, OSError) and error.filename in (temporary, str(temporary)):
            raise _refusal(path, error.strerror or str(error)) from error
        raise


@contextmanager
def told_where_refused(path: Path, needed: int) -> Iterator[None]:
    """A block that writes so many bytes to a file itself. Raises StorageError where the disk is full or refuses."""
    try:
        yield
    except OSError as error:
        if _is_full(error):
            raise _storage_error(path, f"no room for {needed:,} bytes") from error
        raise _refusal(path, error.strerror or str(error)) from error


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file (UTF-8), which is made if it is not there; whole, or not at all.

    One that a kill or the disk cut off before is ended first. Raises StorageError where the disk is full or refuses.
    """
    data = line.encode() + b"\n"
    with told_where_refused(path, len(data)), path.open("ab", buffering=0) as file:
        size = file.tell()
        left = memoryview(b"\n" + data if size and not _ends_a_line(path) else data)
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            with suppress(OSError):
                file.truncate(size)
            raise


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def _beside(path: Path) -> Path:
    return path.with_name(f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}-{path.name}")


def _refusal(path: Path, why: str) -> StorageError:
    return StorageError(f"{path} cannot be written: {why}.", _ELSEWHERE)


def _is_full(error: BaseException | None) -> bool:
    # torch.save hides the disk's own error behind a RuntimeError of its zip writer.
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if isinstance(error, RuntimeError) and ("PytorchStreamWriter" in str(error) or "unexpected pos" in str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _storage_error(path: Path, why: str) -> StorageError:
    free = shutil.disk_usage(path.parent).free
    return StorageError(
        f"{path} could not be written: {why} ({free:,} bytes are free on this disk).",
        "Free some room, or a larger quota, and run the same command again (`semiseg run` with --resume); earlier files"
        " are intact.",
    )


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems cannot sync a folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sweep_temporaries(folder: Path) -> None:
    """Remove what killed writers left in a folder; to be called by the one that owns the folder."""
    for orphan in folder.glob(".tmp-*"):
        with suppress(OSError):
            orphan.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically (UTF-8)."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with atomic_file(Path(path)) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
