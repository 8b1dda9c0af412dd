"""Atomic files: written to a temporary file next to the target, flushed to disk, then renamed."""

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
    """Create a folder and its parents, if missing. Raises StorageError if that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path} cannot be created: {error.strerror or error}.", _ELSEWHERE) from error


def require_file(path: Path) -> None:
    """Create the folder of a file and try to write there, before work whose result would be lost.

    Raises StorageError if ``atomic_file`` would; leaves no file.
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
    """Yield a path to write to; it becomes ``path`` if the block ends without an error.

    The temporary file keeps the target's suffixes, since writers choose the format by them. Raises StorageError if the
    disk is full or refuses, or the file cannot be created; the previous content of ``path`` is then intact.
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
            raise _storage_error(path, f"no space left after {written:,} bytes") from error
        if isinstance(error, OSError) and error.filename in (temporary, str(temporary)):
            raise _refusal(path, error.strerror or str(error)) from error
        raise


@contextmanager
def told_where_refused(path: Path, needed: int) -> Iterator[None]:
    """Enclose a direct write of ``needed`` bytes. Raises StorageError if the disk is full or refuses."""
    try:
        yield
    except OSError as error:
        if _is_full(error):
            raise _storage_error(path, f"no space for {needed:,} bytes") from error
        raise _refusal(path, error.strerror or str(error)) from error


def append_line(path: Path, line: str) -> None:
    """Append a line to a text file (UTF-8), which is created if missing; the whole line or nothing.

    An incomplete last line, left by a kill or a full disk, is ended first. Raises StorageError if the disk is full or
    refuses.
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
    # torch.save hides the disk's error behind a RuntimeError of its zip writer.
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
        "Free some space or get a larger quota, and run the same command again (`semiseg run` with --resume). Earlier"
        " files are intact.",
    )


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems cannot sync a folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sweep_temporaries(folder: Path) -> None:
    """Remove temporary files of killed writers from a folder; to be called only by the folder's owner."""
    for orphan in folder.glob(".tmp-*"):
        with suppress(OSError):
            orphan.unlink()


def link_or_copy(path: Path, target: Path) -> None:
    """Hard-link a file that is replaced but never changed in place, or copy it where the file system has no links."""
    try:
        os.link(path, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(path, target)


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
