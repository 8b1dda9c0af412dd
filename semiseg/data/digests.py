"""SHA-256 of content: of files, cached so that each file is read once, and of voxels without a file."""

import hashlib
import os
import re
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from semiseg.io.formats.contents import contents
from semiseg.messages import counted, some
from semiseg.types import Volume

_SETTLED_NS = 2_000_000_000
_DIGEST = re.compile(r"[0-9a-f]{64}")


def digest_text(text: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_volume(volume: Volume) -> str:
    """Return the SHA-256 of voxels with their dtype and grid, in hexadecimal."""
    array, geometry = volume.array, volume.geometry
    grid = [array.dtype.str, array.shape, geometry.affine.tolist(), geometry.unit]
    digest = hashlib.sha256(repr(grid).encode())
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


class Digests:
    """A folder of small notes, one per file, that any number of processes may write concurrently.

    The key of a note contains everything that the file system reports about a file's state. The modification time can
    be set back (``rsync -t``, ``cp -p``, ``tar``), the inode's change time cannot. If a network file system reports
    other numbers for the same file, or if notes cannot be read or written, the file is read again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._refused: OSError | None = None
        self._changed = set[str]()

    def notes(self) -> list[str]:
        """Return notes on files whose content changed, and on why notes could not be written and how to fix that."""
        found = []
        if self._changed:
            are, them = ("is", "it, it is") if len(self._changed) == 1 else ("are", "them, they are")
            files = f"{counted(len(self._changed), 'file')} changed since last read"
            names = some(sorted(self._changed), 5)
            found.append(f"{files} and {are} read again: {names}; if you did not change {them} damaged")
        if self._refused is None:
            return found
        why = self._refused.strerror or self._refused
        return [
            *found,
            f"the case store's folder {self.folder} cannot be written ({why}), so every run reads all files completely;"
            " fix this, or set another store with preprocessing.store or SEMISEG_CACHE",
        ]

    def of(self, path: Path) -> str:
        """Return the digest of a file's content, or of the contents of several files, such as a DICOM folder's.

        Raises OSError if a file, rather than a note, cannot be read, and DataError as ``contents``.
        """
        files = contents(path)
        return self._of_file(path) if files == (path,) else digest_text("\n".join(map(self._of_file, files)))

    def _of_file(self, path: Path) -> str:
        status = path.stat()
        state = status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
        key = digest_text("\n".join(map(str, (path.resolve(), *state))))
        note = self.folder / key[:2] / key
        if known := _digest_in(note):
            return known
        digest = digest_file(path)
        last = self._note_on(path)
        if _digest_in(last) not in {"", digest}:
            self._changed.add(str(path))
        # A file that was just written may change again within one clock tick, undetected.
        if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED_NS:
            self._write(note, digest)
            self._write(last, digest)
        return digest

    def _note_on(self, path: Path) -> Path:
        """Return the note of a file's content when last read, whatever its state."""
        key = digest_text(str(path.resolve()))
        return self.folder / "last" / key[:2] / key

    def remembered(self, key: str, work: Callable[[], str]) -> str:
        """Return the digest from the note of this key if there is one, else from ``work``."""
        note = self.folder / key[:2] / key
        if known := _digest_in(note):
            return known
        digest = work()
        self._write(note, digest)
        return digest

    def _write(self, note: Path, digest: str) -> None:
        temporary = note.with_name(f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}")
        try:
            note.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(digest, encoding="utf-8")
            temporary.replace(note)
        except OSError as error:
            self._refused = error
            with suppress(OSError):
                temporary.unlink()


def _digest_in(note: Path) -> str:
    """Return the digest in a note; empty if the note is missing or damaged."""
    with suppress(OSError, ValueError):  # ValueError: not text
        known = note.read_text(encoding="utf-8")
        if _DIGEST.fullmatch(known):
            return known
    return ""
