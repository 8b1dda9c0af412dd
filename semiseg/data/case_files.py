"""Entries of the case store: folders with one array and its record, written atomically."""

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.digests import digest_file, digest_text
from semiseg.errors import StorageError
from semiseg.io.atomic import atomic_file, write_json

ARRAY, RECORD = "array.npy", "record.json"
_ORPHAN_SECONDS = 24 * 3600


@contextmanager
def writing_to(root: Path) -> Iterator[None]:
    """Enclose access to files of the case store at ``root``, and nothing else.

    Raises StorageError, with the store, the path and a fix, if the disk refuses.
    """
    try:
        yield
    except OSError as error:
        path = error.filename2 or error.filename
        where, why = f"{path}: " if path else "", error.strerror or error
        raise StorageError(
            f"The case store {root} cannot be written: {where}{why}.",
            "Fix this, or set another folder with preprocessing.store in the recipe or the environment variable"
            " SEMISEG_CACHE.",
        ) from error


class Entries:
    """A folder of entries, each under its content key; any number of processes may write concurrently."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """Return the folder of an entry."""
        return self.folder / key[:2] / key

    def exists(self, key: str) -> bool:
        """Return whether there is such an entry, intact or damaged."""
        return self.path(key).exists()

    def read(self, key: str) -> dict[str, Any] | None:
        """Return the record of an entry, or None if it is missing or damaged.

        The array is read to its end and verified, since a disk may silently return other bytes than were written.
        """
        try:
            stored = json.loads((self.path(key) / RECORD).read_text(encoding="utf-8"))
            array = self.path(key) / ARRAY
            record: dict[str, Any] = stored["record"]
            whole = stored["sha256"] == _seal(record) and stored["bytes"] == array.stat().st_size
            whole = whole and stored["array_sha256"] == digest_file(array)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if not whole:
            return None
        with suppress(OSError):  # the time of last use; a shared store may belong to another user
            os.utime(self.path(key) / RECORD)
        return record

    def write(self, key: str, array: NDArray[Any], record: Mapping[str, Any]) -> None:
        """Write an entry. Raises StorageError if the disk is full or refuses."""
        with writing_to(self.folder.parent):
            self._write(key, array, record)

    def _write(self, key: str, array: NDArray[Any], record: Mapping[str, Any]) -> None:
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        temporary.mkdir()
        try:
            with atomic_file(temporary / ARRAY) as path:
                np.save(path, array)
            seals = {"sha256": _seal(record), "array_sha256": digest_file(temporary / ARRAY)}
            size = (temporary / ARRAY).stat().st_size
            write_json(temporary / RECORD, {**seals, "bytes": size, "record": record})
            self._move_in(key, temporary)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _move_in(self, key: str, temporary: Path) -> None:
        target = self.path(key)
        if target.exists() and self.read(key) is None:
            with suppress(FileNotFoundError):  # another process may have moved it already
                damaged = target.parent / f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}"
                target.rename(damaged)
                shutil.rmtree(damaged, ignore_errors=True)
        try:
            temporary.rename(target)
        except OSError:
            if self.read(key) is None:  # otherwise another process has written the same entry
                raise

    def sweep(self) -> None:
        """Create the folder, and remove leftovers of killed writers over a day old: younger ones may be in use.

        Raises StorageError if the folder cannot be created.
        """
        with writing_to(self.folder.parent):
            self.folder.mkdir(parents=True, exist_ok=True)
        for orphan in self.folder.glob("*/.tmp-*"):
            with suppress(OSError):
                if time.time() - orphan.stat().st_mtime > _ORPHAN_SECONDS:
                    shutil.rmtree(orphan, ignore_errors=True)


def _seal(record: Mapping[str, Any]) -> str:
    return digest_text(json.dumps(record, sort_keys=True))
